// The generated id as a breadcrumb: one step per token, with the probability the model gave it.

import { address } from "./address.js";
import { make, percent } from "./elements.js";

const share = (value) => (Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : null);

/**
 * A document's path, or null where the system generated none.
 * The pale bar of a step is its own probability, the solid one what is left of the whole path's.
 */
export function pathOf(hit, system) {
  const steps = hit.steps?.length ? hit.steps : (hit.path ?? []).map((token) => ({ token, label: String(token) }));
  if (!steps.length) return null;
  const prefix = steps.map((item) => item.token);
  const last = share(steps.at(-1).cumulative);
  const whole = last === null ? counted(steps.length) : `whole path ${percent(last)}`;
  const readout = make("span", { class: "path-readout", "aria-hidden": "true", text: whole });
  const crumbs = steps.map((item, at) => crumb(item, at, steps.length, prefix.slice(0, at + 1), system, readout, whole));
  return make("div", { class: "path" }, make("ol", { class: "path-steps", "aria-label": "Generated id" }, crumbs), readout);
}

function counted(steps) {
  return steps === 1 ? "1 step" : `${steps} steps`;
}

function crumb(item, at, length, prefix, system, readout, whole) {
  const [own, left] = [share(item.probability), share(item.cumulative)];
  const numbers = own === null ? "" : `: ${percent(own)} here, ${percent(left)} so far`;
  const place = `step ${at + 1} of ${length}`;
  const tell = () => {
    readout.textContent = `${place}${numbers}`;
    readout.classList.add("told");
  };
  const rest = () => {
    readout.textContent = whole;
    readout.classList.remove("told");
  };
  return make(
    "li",
    { class: "path-step" },
    make(
      "a",
      {
        href: address({ view: "explore", system, prefix }),
        "data-inside": true,
        "aria-label": `${labelOf(item)}, ${place}${numbers}. Open this branch`,
        on: { mouseenter: tell, focus: tell, mouseleave: rest, blur: rest },
      },
      make("span", { class: "path-label", text: labelOf(item) }),
      own !== null && make("span", { class: "mass", vars: { "--own": own, "--left": left ?? 0 } }),
    ),
  );
}

/** What a token is called. One without a name ends a text; white space alone would be invisible. */
export function labelOf(item) {
  const label = String(item.label ?? item.token ?? "");
  return label === "" ? "end" : label.trim() || "␣";
}
