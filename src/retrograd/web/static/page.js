// Starts the page: asks which systems there are, then shows the view that the address names.

import { VIEWS, address, read, whenMoved } from "./address.js";
import { announce, make, put } from "./elements.js";
import { failure, tokenForm } from "./pieces.js";
import { systems } from "./server.js";
import { compareView } from "./compare.js";
import { documentsView } from "./documents.js";
import { exploreView } from "./explore.js";
import { searchView } from "./search.js";

const NAMES = { search: "Search", compare: "Compare", explore: "Explore", documents: "Documents" };
const MAKERS = { search: searchView, compare: compareView, explore: exploreView, documents: documentsView };

const content = document.getElementById("content");
const views = document.getElementById("views");
let known = [];
let shown = null; // { name, update(state, systems), leave() }

async function start() {
  try {
    known = await systems();
  } catch (error) {
    const again = () => start();
    put(content, error.status === 401 ? tokenForm(again) : failure(error, again));
    return;
  }
  if (!known.length) {
    put(content, make("p", { class: "notice", text: "This server runs, but it has no systems to ask." }));
    return;
  }
  show(read());
}

/** After a change the numbers of a system are others. */
async function refresh() {
  known = await systems();
  return known;
}

function show(state) {
  const names = known.map((system) => system.name);
  const unknown = state.system && !names.includes(state.system) ? state.system : "";
  if (!names.includes(state.system)) state.system = firstFor(state.view);
  if (!names.includes(state.other) || state.other === state.system) {
    state.other = names.find((name) => name !== state.system) ?? state.system;
  }
  drawViews(state);
  if (shown?.name !== state.view) {
    shown?.leave?.();
    shown = { name: state.view, ...MAKERS[state.view](content, { refresh }) };
    if (document.activeElement?.closest?.("#content")) content.focus();
  }
  document.title = `${state.query && state.view !== "explore" ? `${state.query} – ` : ""}${NAMES[state.view]} – retrograd`;
  shown.update(state, known);
  if (unknown) announce(`There is no system ${unknown} here; ${state.system} is shown.`);
}

function firstFor(view) {
  const fit = view === "explore" ? known.find((system) => system.has_docids) : null;
  return (fit ?? known[0]).name;
}

function drawViews(state) {
  put(
    views,
    VIEWS.map((view) =>
      make("a", {
        href: address({ ...state, view, prefix: [], offset: 0, find: "" }),
        "data-inside": true,
        "aria-current": view === state.view ? "page" : null,
        text: NAMES[view],
      }),
    ),
  );
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = content.querySelector("[data-main-field]");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select?.();
});

whenMoved((state) => known.length && show(state));
start();
