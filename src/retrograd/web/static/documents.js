// What a system holds, and changes to it: add, edit, delete, and ways back.

import { address, go, read } from "./address.js";
import { announce, count, counted, make, put } from "./elements.js";
import { documentForm } from "./edit.js";
import { generationList } from "./generations.js";
import { failure, latest, nothing, step, stopped, systemPicker, tokenForm } from "./pieces.js";
import { showResults, titleOf } from "./results.js";
import * as server from "./server.js";

const PAGE = 20;
const LOOKED_AT = 10;

export function documentsView(content, { refresh }) {
  let state = null;
  let system = null;
  const request = latest();
  const picker = make("div", { class: "ask-options" });
  const readOnly = make("p", { class: "notice", hidden: true, text: "This system is read-only here: its documents can be looked at but not changed." });
  const outcome = make("div", { class: "outcome" });
  const list = make("ul", { class: "documents", on: { keydown: (event) => keys(event) } });
  const heading = make("h2", { text: "Documents" });
  const finder = make("input", {
    type: "search", id: "find-document", class: "finder", placeholder: "Find a document", autocomplete: "off",
    enterkeyhint: "search", "aria-label": "Find a document", "data-main-field": true,
    on: { keydown: (event) => find(event) },
  });
  const pager = make("div", { class: "pager" });
  const form = documentForm({ save: (document, isNew) => save(document, isNew) });
  const past = generationList({ back: (number) => back(number) });
  const changes = make("section", { class: "card" }, form.node);
  put(content,
    make("div", { class: "ask-panel explore-head" }, make("h1", { text: "Documents" }), picker),
    readOnly, outcome,
    make("div", { class: "columns columns-even" },
      make("section", { class: "column-main" }, make("div", { class: "list-head" }, heading, finder), list, pager),
      make("div", { class: "beside" }, changes, past.node)));

  function find(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    if (event.key === "Escape") finder.value = "";
    go({ ...state, find: finder.value.trim(), offset: 0 });
  }

  function keys(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    step([...list.querySelectorAll(".document")], event.target, event.key === "ArrowDown" ? 1 : -1);
  }

  async function update(next, systems) {
    const other = state?.system !== next.system;
    state = next;
    system = systems.find((one) => one.name === state.system);
    const change = (name) => go({ ...state, system: name, offset: 0 });
    put(picker,
      system.writable && make("button", { type: "button", class: "button-quiet when-narrow", text: "Add a document", on: { click: () => form.begin() } }),
      systemPicker({ id: "documents-system", label: "System", systems, current: state.system, change }));
    finder.hidden = !system.takes.includes("query");
    if (document.activeElement !== finder) finder.value = state.find;
    readOnly.hidden = system.writable;
    changes.hidden = !system.writable;
    if (other) {
      put(outcome);
      form.reset();
    }
    await Promise.all([showPage(), past.show(system)]);
  }

  async function showPage() {
    const signal = request.next();
    list.setAttribute("aria-busy", "true");
    try {
      const told = await listed(signal);
      if (signal.aborted) return;
      const found = told.documents ?? [];
      const total = Number(told.total ?? system.documents);
      heading.textContent = state.find ? `${count(total)} that fit best` : counted(total, "document");
      put(list, found.map(row));
      if (!found.length) put(list, make("li", { class: "bare" }, nothing(state.find ? "No document fits these words." : "There is nothing on this page of the list.")));
      put(pager, pageLink("Earlier", state.offset - PAGE, state.offset > 0),
        make("span", { class: "quiet", text: found.length ? `${count(state.offset + 1)} to ${count(state.offset + found.length)}` : "" }),
        pageLink("Later", state.offset + PAGE, state.offset + found.length < total));
    } catch (error) {
      if (stopped(error)) return;
      put(list, make("li", { class: "bare" }, error.status === 401 ? tokenForm(showPage) : failure(error, showPage)));
      put(pager);
    }
    list.removeAttribute("aria-busy");
  }

  /** A page of all documents, or those that fit what somebody looks for. */
  async function listed(signal) {
    if (!state.find || !system.takes.includes("query")) return server.documents(state.system, state.offset, PAGE, signal);
    const { hits } = await server.search(state.system, { query: state.find.slice(0, 2048), k: PAGE }, signal);
    return { documents: hits, total: hits.length };
  }

  function pageLink(text, offset, usable) {
    if (!usable) return make("span", { class: "button-quiet off", "aria-disabled": "true", text });
    return make("a", { class: "button-quiet", href: address({ ...state, offset: Math.max(0, offset) }), "data-inside": true, text });
  }

  function row(item) {
    const name = titleOf(item);
    const buttons = system.writable && make("div", { class: "row" },
      make("button", { type: "button", class: "button-quiet", "aria-label": `Edit ${name}`, text: "Edit", on: { click: () => edit(item.id) } }),
      make("button", { type: "button", class: "button-quiet button-risky", "aria-label": `Delete ${name}`, text: "Delete", on: { click: () => remove(item) } }));
    return make("li", { class: "document", tabindex: -1, "data-id": item.id },
      make("div", { class: "document-name" },
        make("span", { class: "document-title", text: name }), make("span", { class: "fact-id", text: item.id })),
      buttons);
  }

  async function edit(id) {
    await attempt(async () => {
      const found = await server.documentOf(state.system, id);
      if (!found) return tell("bad", "This document is no longer there.");
      form.fill(found);
      return undefined;
    });
  }

  async function save(document, isNew) {
    await attempt(async () => {
      const asked = titleOf(document) === document.id ? document.text : document.title;
      const began = performance.now();
      const told = await server.save(state.system, document);
      form.reset();
      const found = await look(document.id, asked);
      const replaced = isNew && told.updated > 0;
      await after(replaced ? "A document with this id was there; it is replaced, saved" : isNew ? "Added" : "Saved", told.generation, found, began);
      if (replaced) outcome.querySelector(".notice").append(undoButton(document, told.generation));
    });
  }

  async function look(id, words) {
    if (!system.takes.includes("query")) return { id, words: "", hit: null, k: 0 };
    const query = words.trim().slice(0, 300);
    const told = await server.search(state.system, { query, k: LOOKED_AT });
    return { id, words: query, hit: told.hits.find((hit) => hit.id === id) ?? null, k: LOOKED_AT };
  }

  async function after(verb, generation, found, began) {
    await renew();
    const took = `${count(Math.round(performance.now() - began))} ms`;
    const box = make("ol", { class: "results found" });
    if (found.hit) showResults(box, [found.hit], { system: state.system, query: found.words });
    const words = !found.words
      ? `${verb} as generation ${generation}.`
      : found.hit
        ? `${verb} as generation ${generation} and found: a search for its own words has it at rank ${found.hit.rank}. Change and search took ${took}.`
        : `${verb} as generation ${generation}. A search for its own words does not have it among the first ${found.k}: this system places it elsewhere.`;
    tell(found.hit || !found.words ? "good" : "fair", words, found.hit ? box : null);
  }

  async function remove(item) {
    await attempt(async () => {
      const told = await server.remove(state.system, item.id);
      const found = await look(item.id, titleOf(item));
      const still = found.hit !== null;
      await renew();
      const way = undoButton(item, told.generation);
      const words = still
        ? `The server says that ${titleOf(item)} is deleted, but it was still found. Search again.`
        : `${titleOf(item)} is deleted (generation ${told.generation}) and gone: a search for its title no longer has it.`;
      tell(still ? "bad" : "good", words, way);
      way.focus({ preventScroll: true });
    });
  }

  function undoButton(item, generation) {
    return make("button", { type: "button", class: "button", text: "Undo", on: { click: () => undo(item, generation) } });
  }

  /** Going back undoes everything since, so it is done only where nothing else has happened. */
  async function undo(item, generation) {
    await attempt(async () => {
      const { current } = await server.generations(state.system);
      if (current !== generation) {
        return tell("bad", "Something else has changed since. Choose a generation in the history to go back to.");
      }
      const began = performance.now();
      const told = await server.rollback(state.system, generation - 1);
      await after("Brought back", told.generation, await look(item.id, titleOf(item)), began);
      return undefined;
    });
  }

  async function back(number) {
    await attempt(async () => {
      const told = await server.rollback(state.system, number);
      await renew();
      tell("good", `The documents are those of generation ${number} again; this is now generation ${told.generation}.`);
    });
  }

  /** Run a change; where the server wants a token, ask for it and run it again. */
  async function attempt(change) {
    content.setAttribute("aria-busy", "true");
    try {
      await change();
    } catch (error) {
      if (!stopped(error)) {
        put(outcome, error.status === 401 ? tokenForm(() => attempt(change)) : failure(error));
        outcome.querySelector("input")?.focus();
        outcome.scrollIntoView({ block: "nearest" });
      }
    }
    content.removeAttribute("aria-busy");
  }

  function tell(kind, words, ...more) {
    put(outcome, make("div", { class: `notice notice-${kind}` }, make("p", { text: words }), ...more));
    announce(words);
    outcome.scrollIntoView({ block: "nearest" });
  }

  async function renew() {
    const systems = await refresh();
    const asked = read();
    await update({ ...state, offset: asked.offset }, systems);
  }

  return { update, leave: () => { request.stop(); past.leave(); } };
}
