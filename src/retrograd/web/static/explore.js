// Walks the tree of ids: what a branch holds, how large its children are, and which words are typical.

import { address, go } from "./address.js";
import { announce, count, counted, make, put } from "./elements.js";
import { labelOf } from "./path.js";
import { failure, latest, nothing, step, stopped, systemPicker, tokenForm } from "./pieces.js";
import { titleOf } from "./results.js";
import { tree } from "./server.js";
import { bySize, strips } from "./strips.js";

const AT_FIRST = 60;

export function exploreView(content) {
  let state = null;
  let known = [];
  const request = latest();
  const labels = new Map(); // `system prefix` -> label of its last step
  const kept = new Map(); // `system generation prefix` -> node
  const picker = make("div", { class: "ask-options" });
  const crumbs = make("nav", { class: "trail", "aria-label": "Place in the tree" });
  const above = make("div");
  const here = make("div", { class: "node-head" });
  const body = make("div", { class: "node-body", on: { keydown: (event) => keys(event) } });
  put(content, make("div", { class: "ask-panel explore-head" }, make("h1", { text: "The tree of ids" }), picker), crumbs, above, here, body);

  const key = (prefix) => `${state.system} ${prefix.join("-")}`;

  function keys(event) {
    const items = [...body.querySelectorAll("a.branch, a.leaf-document")];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(items, event.target, event.key === "ArrowDown" ? 1 : -1);
    } else if ((event.key === "ArrowLeft" || event.key === "Backspace") && state.prefix.length) {
      event.preventDefault();
      go({ ...state, prefix: state.prefix.slice(0, -1) });
    } else if (event.key === "ArrowRight" && event.target.matches("a.branch")) {
      event.preventDefault();
      event.target.click();
    }
  }

  async function update(next, systems) {
    const keyboard = body.contains(document.activeElement);
    [state, known] = [next, systems];
    const system = known.find((one) => one.name === state.system);
    const change = (name) => go({ ...state, system: name, prefix: [] });
    put(picker, systemPicker({ id: "explore-system", label: "System", systems: known, current: state.system, change }));
    picker.querySelector("select").dataset.mainField = "";
    if (!system.has_docids) {
      request.next();
      for (const part of [crumbs, above, here]) put(part);
      return put(body, withoutTree(system));
    }
    trail();
    const signal = request.next();
    body.setAttribute("aria-busy", "true");
    if (!body.children.length) put(body, make("p", { class: "quiet", text: "Reading the tree…" }));
    try {
      const [node, ...parents] = await Promise.all([
        nodeOf(system, state.prefix, signal),
        ...state.prefix.map((_, at) => nodeOf(system, state.prefix.slice(0, at), signal).catch(() => null)),
      ]);
      if (!signal.aborted) tell(node, parents, system, keyboard);
    } catch (error) {
      if (stopped(error)) return undefined;
      put(here);
      put(above);
      const again = () => update(state, known);
      const gone = error.status === 404 && state.prefix.length > 0;
      const up = make("a", { href: address({ ...state, prefix: [] }), "data-inside": true, text: "Go to the root of the tree" });
      put(body, gone ? nothing("No id starts with these steps; the document may be gone.", up) : error.status === 401 ? tokenForm(again) : failure(error, again));
    }
    body.removeAttribute("aria-busy");
    return undefined;
  }

  async function nodeOf(system, prefix, signal) {
    const name = `${system.name} ${system.generation} ${prefix.join("-")}`;
    if (!kept.has(name)) kept.set(name, await tree(system.name, prefix, signal));
    return kept.get(name);
  }

  function withoutTree(system) {
    const others = known.filter((one) => one.has_docids);
    const links = others.map((one) => make("li", {}, make("a", { href: address({ view: "explore", system: one.name }), "data-inside": true, text: one.name })));
    return nothing(
      `${system.name} finds documents without generating ids, so it has no tree to walk through.`,
      others.length ? make("p", { text: "These systems have one:" }) : null,
      others.length ? make("ul", {}, links) : null,
    );
  }

  function trail() {
    const steps = state.prefix.map((token, at) => [labels.get(key(state.prefix.slice(0, at + 1))) ?? String(token), state.prefix.slice(0, at + 1)]);
    const places = [["All documents", []], ...steps];
    put(crumbs, make("ol", {}, places.map(([label, prefix], at) => make("li", {},
      at === places.length - 1
        ? make("span", { "aria-current": "location", text: label })
        : make("a", { href: address({ ...state, prefix }), "data-inside": true, text: label })))));
  }

  function tell(node, parents, system, keyboard) {
    const nodes = [...parents, node];
    nodes.forEach((level, at) => {
      for (const child of level?.children ?? []) labels.set(key([...state.prefix.slice(0, at), child.token]), labelOf(child));
    });
    trail();
    put(above, strips(nodes, state.prefix, state));
    const children = bySize(node.children ?? []);
    const parts = [counted(node.documents, "document")];
    if (children.length) parts.push(counted(children.length, "branch", "branches"));
    put(here,
      make("p", { class: "node-size", text: parts.join(" in ") }),
      state.prefix.length ? make("p", { class: "quiet", text: `Step ${state.prefix.length} of the id, ${percentOf(node.documents, system.documents)} of the corpus` }) : null);
    announce(parts.join(" in "));
    const most = Math.max(1, ...children.map((child) => child.documents));
    const list = make("ul", { class: "branches" });
    const show = (some) => put(list, some.map((child) => make("li", {}, branch(child, most))));
    show(children.slice(0, AT_FIRST));
    const rest = children.length - AT_FIRST;
    const more = rest > 0 && make("button", {
      type: "button", class: "button-quiet", text: `Show ${count(rest)} smaller branches`,
      on: { click: (event) => { show(children); event.target.remove(); list.querySelectorAll("a")[AT_FIRST]?.focus(); } },
    });
    put(body, children.length ? list : null, more, listed(node, children.length));
    if (keyboard) body.querySelector("a")?.focus();
  }

  function branch(child, most) {
    const examples = (child.examples ?? []).map(titleOf);
    return make("a", { class: "branch", href: address({ ...state, prefix: [...state.prefix, child.token] }), "data-inside": true },
      make("span", { class: "branch-label", text: labelOf(child) }),
      make("span", { class: "branch-size" },
        make("span", { class: "bar", vars: { "--share": child.documents / most }, "aria-hidden": "true" }),
        make("span", { class: "branch-count", text: counted(child.documents, "document") })),
      make("span", { class: "branch-words" },
        make("span", { class: "terms" }, (child.terms ?? []).map((term) => make("span", { class: "term", text: term }))),
        examples.length ? make("span", { class: "branch-examples", text: examples.join(" · ") }) : null));
  }

  function listed(node, branches) {
    const found = node.listed ?? [];
    if (!found.length) return null;
    const more = node.documents - found.length;
    const words = branches && more > 0 ? `The first ${count(found.length)} of its documents` : more > 0 ? `${count(found.length)} of ${count(node.documents)} documents with this id` : branches ? "Its documents" : "Documents with this id";
    return make("section", { class: "listed" }, make("h2", { text: words }),
      make("ul", {}, found.map((item) => make("li", {},
        make("a", { class: "leaf-document", href: address({ view: "search", system: state.system, query: titleOf(item).slice(0, 2048) }), "data-inside": true },
          make("span", { text: titleOf(item) }), make("span", { class: "fact-id", text: item.id }))))));
  }

  return { update, leave: () => request.stop() };
}

function percentOf(some, all) {
  const share = some / Math.max(1, all);
  return share > 0 && share < 0.01 ? "less than 1 %" : `${Math.round(share * 100)} %`;
}
