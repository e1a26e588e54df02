// The way down the tree as strips: each is one level, each piece a branch as wide as the documents below it.

import { address } from "./address.js";
import { count, counted, make } from "./elements.js";
import { labelOf } from "./path.js";

const PIECES = 40;
const LEVELS = 6;

/**
 * Strips of the last levels. `nodes[i]` is the tree node of the first `i` steps, or null where it is not known.
 * They repeat what the list below says, so they are hidden from screen readers and out of the tab order.
 */
export function strips(nodes, prefix, state) {
  const rows = nodes
    .map((node, at) => (node?.children?.length ? strip(node, prefix.slice(0, at), prefix[at], state) : null))
    .filter(Boolean)
    .slice(-LEVELS);
  return make("div", { class: "strips", "aria-hidden": "true" }, rows);
}

/** Largest first; equal ones in the order of their tokens. */
export function bySize(children) {
  return [...children].sort((one, two) => two.documents - one.documents || one.token - two.token);
}

function strip(node, prefix, chosen, state) {
  const sorted = bySize(node.children);
  const at = sorted.findIndex((child) => child.token === chosen);
  const shown = sorted.filter((_, place) => place < PIECES || place === at);
  const rest = sorted.length - shown.length;
  const others = node.documents - shown.reduce((sum, child) => sum + child.documents, 0);
  return make(
    "div",
    { class: "strip-level" },
    shown.map((child) => piece(child, [...prefix, child.token], child.token === chosen, node.documents, state)),
    rest > 0 && others > 0
      ? make("span", { class: "piece piece-rest", vars: { "--size": others }, title: `${count(rest)} smaller branches` })
      : null,
  );
}

function piece(child, prefix, chosen, all, state) {
  const wide = child.documents / Math.max(1, all) > 0.06;
  return make("a", {
    class: chosen ? "piece chosen" : "piece",
    href: address({ ...state, prefix }), "data-inside": true, tabindex: -1,
    vars: { "--size": Math.max(child.documents, 1) },
    title: `${labelOf(child)}: ${counted(child.documents, "document")}`,
    text: wide || chosen ? labelOf(child) : "",
  });
}
