// The history of a corpus: every generation, what it changed, and a way back to it.

import { count, counted, make, moment, put } from "./elements.js";
import { failure, latest, stopped } from "./pieces.js";
import * as server from "./server.js";

const AT_FIRST = 8;
const VERBS = { fit: "Fitted", add: "Added", update: "Updated", put: "Saved", delete: "Deleted", rollback: "Rolled back" };

/** `back(number)` is called when somebody wants an earlier generation again. */
export function generationList({ back }) {
  const request = latest();
  const list = make("ol", { class: "generations" });
  const more = make("div");
  const node = make("section", { class: "card" }, make("h2", { text: "History" }), list, more);

  async function show(system) {
    const signal = request.next();
    try {
      const told = await server.generations(system.name, signal);
      if (signal.aborted) return;
      const entries = told.list.map((generation) => entry(generation, told.current, system.writable));
      put(list, entries.slice(0, AT_FIRST));
      put(more, entries.length > AT_FIRST && make("button", {
        type: "button", class: "button-quiet", text: `Show ${count(entries.length - AT_FIRST)} older`,
        on: { click: () => { put(list, entries); put(more); } },
      }));
    } catch (error) {
      if (stopped(error)) return;
      put(list, make("li", { class: "bare" }, failure(error, () => show(system))));
      put(more);
    }
  }

  function entry(generation, current, writable) {
    const isCurrent = generation.number === current;
    const button = writable && !isCurrent && make("button", {
      type: "button", class: "button-quiet", "aria-label": `Go back to generation ${generation.number}`, text: "Go back",
      on: { click: () => back(generation.number) },
    });
    return make("li", { class: isCurrent ? "generation current" : "generation" },
      make("span", { class: "generation-number", text: generation.number }),
      make("div", { class: "generation-words" },
        make("p", { text: wordsOf(generation) }),
        make("p", { class: "quiet" }, make("time", { datetime: generation.time, text: moment(generation.time) })),
        make("p", { class: "quiet", text: counted(generation.documents, "document") })),
      isCurrent ? make("span", { class: "badge", text: "now" }) : button);
  }

  return { node, show, leave: () => request.stop() };
}

function wordsOf({ action, added, removed, updated, documents, restores }) {
  if (action === "fit") return `Fitted on ${counted(documents, "document")}`;
  if (action === "rollback") return `Went back to generation ${restores}`;
  const parts = [[added, "added"], [updated, "changed"], [removed, "deleted"]].filter(([number]) => number);
  const words = parts.map(([number, verb]) => `${count(number)} ${verb}`).join(", ");
  return words ? words[0].toUpperCase() + words.slice(1) : (VERBS[action] ?? String(action));
}
