// Two systems side by side on one question, with every difference marked.

import { address, go } from "./address.js";
import { announce, count, counted, draw, make, put, short } from "./elements.js";
import { failure, latest, nothing, step, stopped, tokenForm } from "./pieces.js";
import { labelOf } from "./path.js";
import { questionForm } from "./question.js";
import { titleOf } from "./results.js";
import { search } from "./server.js";

/** Document id -> what its place means against the other list: `only`, `same`, or places moved (up is positive). */
export function moves(here, there) {
  const rank = new Map(there.map((hit) => [hit.id, hit.rank]));
  return new Map(here.map((hit) => [hit.id, rank.has(hit.id) ? rank.get(hit.id) - hit.rank : null]));
}

export function compareView(content) {
  let state = null;
  let known = [];
  const request = latest();
  const status = make("div", { class: "overlap" });
  const left = make("ol", { class: "results compact" });
  const right = make("ol", { class: "results compact" });
  const wires = draw("svg", { class: "wires", "aria-hidden": "true" });
  const [leftHead, rightHead] = [make("div", { class: "side-head" }), make("div", { class: "side-head" })];
  const pair = make("div", { class: "pair", on: { keydown: (event) => keys(event) } },
    make("section", { class: "side" }, leftHead, left), wires, make("section", { class: "side" }, rightHead, right));
  const form = questionForm({
    placeholder: "Ask both systems the same",
    pickers: [{ label: "Left", key: "system" }, { label: "Right", key: "other" }],
    ask: (changes) => go({ ...state, ...form.values(), ...swapped(changes) }),
    clear: () => clear(),
  });
  form.node.addEventListener("keydown", (event) => event.target === form.words && keys(event));
  put(content, make("h1", { class: "unseen", text: "Compare two systems" }), make("div", { class: "ask-panel" }, form.node), status, pair);
  if (window.matchMedia("(pointer: fine)").matches) form.words.focus();
  const resized = new ResizeObserver(() => drawWires());
  resized.observe(pair);
  for (const event of ["pointerover", "focusin"]) pair.addEventListener(event, (e) => light(e.target.closest?.(".result")?.dataset.id));
  for (const event of ["pointerleave", "focusout"]) pair.addEventListener(event, () => light(undefined));

  /** Choosing for one side what stands on the other swaps them. */
  function swapped(changes) {
    if (changes.system === state.other && changes.system) return { ...changes, other: state.system };
    if (changes.other === state.system && changes.other) return { ...changes, system: state.other };
    return changes;
  }

  function clear() {
    form.words.value = "";
    go({ ...state, query: "", items: [], where: [] });
    form.words.focus();
  }

  function keys(event) {
    const across = event.key === "ArrowLeft" ? left : event.key === "ArrowRight" ? right : null;
    const inside = event.target.closest?.(".result");
    if (event.key === "Escape" && !event.defaultPrevented) {
      event.preventDefault();
      clear();
    } else if (across && inside) {
      const at = [...inside.parentNode.children].indexOf(inside);
      (across.children[at] ?? across.lastElementChild)?.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      if (!inside && by < 0) return;
      event.preventDefault();
      const list = inside?.parentNode ?? left;
      if (!step([...list.querySelectorAll(".result")], event.target, by) && by < 0) form.words.focus();
    }
  }

  async function update(next, systems) {
    [state, known] = [next, systems];
    form.update(state, known);
    if (known.length < 2) return empty("This server has one system only. Start it with two folders to compare them.");
    const sides = [state.system, state.other].map((name) => known.find((one) => one.name === name));
    if (!state.query && !state.items.length) {
      return empty("Ask one question of two systems: what both find, what only one finds, and what moved is marked.");
    }
    const signal = request.next();
    pair.setAttribute("aria-busy", "true");
    if (pair.hidden) put(status, make("p", { class: "quiet", text: "Asking both…" }));
    try {
      const told = await Promise.all(sides.map((system) => ask(system, signal)));
      if (!signal.aborted) tell(told, sides);
    } catch (error) {
      if (stopped(error)) return undefined;
      const again = () => update(state, known);
      pair.hidden = true;
      put(status, error.status === 401 ? tokenForm(again) : failure(error, again));
    }
    pair.removeAttribute("aria-busy");
    return undefined;
  }

  async function ask(system, signal) {
    const items = system.takes.includes("history") ? state.items : [];
    const query = system.takes.includes("query") ? state.query : "";
    if (!query && !items.length) return { hits: [], generation: system.generation, mute: true };
    return search(system.name, { ...state, query, items }, signal);
  }

  function empty(words) {
    request.next();
    pair.removeAttribute("aria-busy");
    pair.hidden = true;
    put(status, nothing(words));
  }

  function tell([one, two], sides) {
    pair.hidden = false;
    const shared = one.hits.filter((hit) => two.hits.some((other) => other.id === hit.id)).length;
    const size = Math.max(one.hits.length, two.hits.length, 1);
    const same = one.hits.filter((hit) => two.hits[hit.rank - 1]?.id === hit.id).length;
    put(status,
      make("p", { class: "overlap-number" },
        make("strong", { text: (shared / size).toFixed(2) }), make("span", { text: `overlap@${state.k}` })),
      make("div", { class: "overlap-words" },
        make("div", { class: "overlap-bar", vars: { "--share": shared / size }, "aria-hidden": "true" }),
        make("p", { text: `${count(shared)} of ${count(size)} answers are in both lists, ${count(same)} at the same place.` })));
    announce(`Overlap ${(shared / size).toFixed(2)}: ${counted(shared, "answer")} in both lists`);
    side(leftHead, left, one, sides[0], moves(one.hits, two.hits));
    side(rightHead, right, two, sides[1], moves(two.hits, one.hits));
    drawWires();
  }

  function side(head, list, told, system, moved) {
    const took = Number(told.took_ms);
    const facts = told.mute ? "does not take this kind of question" : `${counted(told.hits.length, "answer")}${Number.isFinite(took) ? `, ${took.toFixed(1)} ms` : ""}`;
    put(head, make("h2", { text: system.name }), make("p", { class: "quiet", text: facts }));
    put(list, told.hits.map((hit) => compact(hit, moved.get(hit.id), system)));
    if (!told.hits.length) put(list, make("li", { class: "bare quiet", text: "Nothing found." }));
  }

  function compact(hit, move, system) {
    const [mark, words, kind] = markOf(move);
    return make(
      "li",
      { class: `result ${kind}`, tabindex: -1, "data-id": hit.id },
      make("span", { class: "result-rank", "aria-label": `Rank ${hit.rank}`, text: hit.rank }),
      make("div", { class: "result-body" },
        make("h3", { class: "result-title", title: titleOf(hit), text: titleOf(hit) }),
        make("p", { class: "result-facts" },
          make("span", { class: "badge", "aria-label": words, title: words, text: mark }),
          make("span", { text: `score ${short(hit.score)}` }),
          hit.path?.length
            ? make("a", { class: "fact-path", "data-inside": true, href: address({ view: "explore", system: system.name, prefix: hit.path }),
              "aria-label": "Open its place in the tree", text: (hit.steps?.length ? hit.steps.map(labelOf) : hit.path).join(" › ") })
            : null)),
    );
  }

  function light(id) {
    for (const node of pair.querySelectorAll("[data-id]")) node.classList.toggle("lit", id !== undefined && node.dataset.id === id);
  }

  /** A line between the two places of a document, where the lists stand side by side. */
  function drawWires() {
    const box = wires.getBoundingClientRect();
    if (pair.hidden || box.width < 8 || box.height < 8) return put(wires);
    wires.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    const ends = new Map([...right.querySelectorAll(".result")].map((node) => [node.dataset.id, middle(node, box)]));
    return put(wires, [...left.querySelectorAll(".result")].filter((node) => ends.has(node.dataset.id)).map((node) => {
      const [from, to, bend] = [middle(node, box), ends.get(node.dataset.id), box.width / 2];
      const kind = from === to ? "wire" : "wire wire-moved";
      return draw("path", { class: kind, "data-id": node.dataset.id, d: `M0 ${from} C${bend} ${from} ${bend} ${to} ${box.width} ${to}` });
    }));
  }

  function middle(node, box) {
    const { top } = node.getBoundingClientRect();
    return Math.round(top - box.top + 22);
  }

  return {
    update,
    leave: () => {
      request.stop();
      resized.disconnect();
    },
  };
}

function markOf(move) {
  if (move === null || move === undefined) return ["only here", "The other list does not have it", "only"];
  if (move === 0) return ["same place", "The same place in the other list", "same"];
  const places = counted(Math.abs(move), "place");
  return move > 0 ? [`↑ ${move}`, `${places} higher than in the other list`, "up"] : [`↓ ${-move}`, `${places} lower than in the other list`, "down"];
}
