// The first view: a question, its answers, and how popular these are.

import { address, go } from "./address.js";
import { auditPanel, hubsOf } from "./audit.js";
import { announce, count, counted, make, put } from "./elements.js";
import { aboutSystem, failure, latest, nothing, step, stopped, tokenForm } from "./pieces.js";
import { questionForm } from "./question.js";
import { hubBadge, showResults, titleOf } from "./results.js";
import { audit, documents, search } from "./server.js";

const ROUNDS = 60;

export function searchView(content) {
  let state = null;
  let known = [];
  const request = latest();
  const about = make("div", { class: "about-line" });
  const status = make("p", { class: "status" });
  const list = make("ol", { class: "results", on: { keydown: (event) => keys(event) } });
  const beside = make("aside", { class: "beside", "aria-label": "Popularity of these answers" });
  const legend = make("p", { class: "legend", hidden: true },
    make("span", { class: "mass mass-sample", vars: { "--own": 0.8, "--left": 0.35 }, "aria-hidden": "true" }),
    make("span", { text: "Under each step of an id: pale, how sure the model was of it; solid, what is left of the whole path." }));
  const form = questionForm({
    placeholder: "Ask for a document in your own words",
    pickers: [{ label: "System", key: "system" }],
    ask: (changes) => go({ ...state, ...form.values(), ...changes }),
    clear: () => {
      form.words.value = "";
      go({ ...state, query: "", items: [], where: [] });
      form.words.focus();
    },
  });
  const heading = make("h1", { class: "unseen", text: "Search" });
  form.node.addEventListener("keydown", (event) => event.target === form.words && keys(event));
  put(content, heading, make("div", { class: "ask-panel" }, form.node, about), status, make("div", { class: "columns" }, make("section", { class: "column-main", "aria-label": "Answers" }, list, legend), beside));
  if (window.matchMedia("(pointer: fine)").matches) form.words.focus();

  function keys(event) {
    if (event.key === "Escape") {
      if (event.defaultPrevented) return;
      event.preventDefault();
      form.words.value = "";
      go({ ...state, query: "", items: [], where: [] });
      form.words.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const by = event.key === "ArrowDown" ? 1 : -1;
      const inside = event.target !== form.words;
      if (!inside && by < 0) return;
      if (!step([...list.querySelectorAll(".result")], event.target, by) && by < 0) form.words.focus();
    }
  }

  async function update(next, systems) {
    [state, known] = [next, systems];
    const system = known.find((one) => one.name === state.system);
    form.update(state, known);
    put(about, aboutSystem(system));
    const asked = (state.query && system.takes.includes("query")) || (state.items.length && system.takes.includes("history"));
    if (!asked) return welcome(system);
    const signal = request.next();
    status.textContent = "Searching…";
    list.setAttribute("aria-busy", "true");
    try {
      const items = system.takes.includes("history") ? state.items : [];
      const told = await search(system.name, { ...state, items }, signal);
      if (signal.aborted) return undefined;
      tell(told, system, signal);
    } catch (error) {
      if (stopped(error)) return undefined;
      status.textContent = "";
      legend.hidden = true;
      const again = () => update(state, known);
      put(list, make("li", { class: "bare" }, error.status === 401 ? tokenForm(again) : failure(error, again)));
      put(beside);
    }
    list.removeAttribute("aria-busy");
    return undefined;
  }

  function tell(told, system, signal) {
    const { hits } = told;
    const took = Number(told.took_ms);
    const time = Number.isFinite(took) ? `${took < 10 ? took.toFixed(1) : count(Math.round(took))} ms` : "";
    status.textContent = `${counted(hits.length, "answer")} in ${time}, from generation ${count(told.generation)} of ${system.name}`;
    announce(status.textContent);
    legend.hidden = !hits.some((hit) => hit.steps?.length);
    if (!hits.length) {
      const words = state.where.length
        ? "No document passes these filters and fits. Remove a filter, or try other words."
        : "Nothing fits. Try other words.";
      put(list, make("li", { class: "bare" }, nothing(words)));
      put(beside);
      return;
    }
    showResults(list, hits, { system: system.name, query: state.query });
    lookAround(hits, system, signal);
  }

  /** Popularity beside the answers. Hubs are worked out in the server's idle moments, so it asks again until they are. */
  async function lookAround(hits, system, signal) {
    if (!beside.children.length) put(beside, auditPanel(null, hits, system)); // holds the place
    try {
      for (let round = 0; round < ROUNDS && !signal.aborted; round += 1) {
        const seen = await audit(system.name, signal);
        if (signal.aborted) return;
        put(beside, auditPanel(seen, hits, system));
        markHubs(hubsOf(seen));
        if (seen.ready !== false) return;
        await new Promise((done) => window.setTimeout(done, 2000));
      }
    } catch (error) {
      if (!stopped(error)) put(beside, make("p", { class: "quiet", text: "How popular these answers are is not known right now." }));
    }
  }

  function markHubs(hubs) {
    for (const item of list.querySelectorAll(".result")) {
      const hub = hubs.get(item.dataset.id);
      if (hub && !item.querySelector(".badge-hub")) item.querySelector(".button-link").before(hubBadge(hub));
    }
  }

  async function welcome(system) {
    const signal = request.next();
    status.textContent = "";
    legend.hidden = true;
    list.removeAttribute("aria-busy");
    put(beside);
    const box = make("ul", { class: "tries" });
    const words = system.takes.includes("query")
      ? "Type a question and press Enter, or look for one of its documents:"
      : "This system recommends: choose a few items above.";
    const others = make("section", { class: "welcome-systems" },
      make("h2", { text: `${counted(known.length, "system")} on this server` }),
      make("ul", { class: "tiles" }, known.map((one) => tile(one, one === system))));
    put(list, make("li", { class: "bare" }, make("div", { class: "welcome" }, make("p", { class: "quiet", text: words }), box, others)));
    if (!system.takes.includes("query")) return;
    try {
      const found = (await documents(system.name, 0, 4, signal)).documents ?? [];
      if (signal.aborted) return;
      put(box, found.map((item) => {
        const query = titleOf(item).slice(0, 120);
        return make("li", {}, make("a", { class: "try", href: address({ ...state, query }), "data-inside": true, text: query }));
      }));
    } catch {
      // Suggestions are an extra: without them the page is whole.
    }
  }

  function tile(system, chosen) {
    return make("li", {}, make("a", { class: "tile", href: address({ ...state, system: system.name }), "data-inside": true, "aria-current": chosen ? "true" : null },
      make("strong", { text: system.name }),
      make("span", { class: "tile-summary", text: system.summary || system.recipe }),
      make("span", { class: "quiet", text: `${counted(system.documents, "document")}, generation ${count(system.generation)}${system.writable ? "" : ", read-only"}` })));
  }

  return { update, leave: () => request.stop() };
}
