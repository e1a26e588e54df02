// What the page shows is written in its address, so that links can be shared and "back" goes back.

export const VIEWS = ["search", "compare", "explore", "documents"];
export const LIMIT = 100;

/** The state an address stands for. Anything senseless in it falls back to the default. */
export function read(search = window.location.search) {
  const given = new URLSearchParams(search);
  const view = given.get("view") ?? "search";
  const k = Number.parseInt(given.get("k") ?? "10", 10);
  const offset = Number.parseInt(given.get("offset") ?? "0", 10);
  return {
    view: VIEWS.includes(view) ? view : "search",
    system: given.get("system") ?? "",
    other: given.get("other") ?? "",
    query: given.get("q") ?? "",
    find: given.get("find") ?? "",
    k: k >= 1 && k <= LIMIT ? k : 10,
    items: given.getAll("item").filter(Boolean),
    where: given.getAll("where").map(pair).filter(Boolean),
    prefix: (given.get("prefix") ?? "").split("-").filter((part) => /^\d{1,9}$/.test(part)).map(Number),
    offset: offset >= 0 && offset < 1e9 ? offset : 0,
  };
}

function pair(text) {
  const at = text.indexOf("=");
  if (at < 1) return null;
  try {
    return [decodeURIComponent(text.slice(0, at)), text.slice(at + 1)];
  } catch {
    return null;
  }
}

/** The address of a state; only what this view reads and what differs from the default is written. */
export function address(state) {
  const parts = new URLSearchParams();
  const view = state.view ?? "search";
  if (view !== "search") parts.set("view", view);
  if (state.system) parts.set("system", state.system);
  if (view === "compare" && state.other) parts.set("other", state.other);
  if (view === "search" || view === "compare") {
    if (state.query) parts.set("q", state.query);
    if (state.k && state.k !== 10) parts.set("k", String(state.k));
    for (const item of state.items ?? []) parts.append("item", item);
    for (const [field, value] of state.where ?? []) {
      parts.append("where", `${wellFormed(encodeURIComponent, field)}=${value}`);
    }
  }
  if (view === "explore" && state.prefix?.length) parts.set("prefix", state.prefix.join("-"));
  if (view === "documents" && state.find) parts.set("find", state.find);
  if (view === "documents" && state.offset) parts.set("offset", String(state.offset));
  const text = parts.toString();
  return text ? `/?${text}` : "/";
}

/** Half a surrogate pair would make the encoders of the browser throw. */
function wellFormed(encode, text) {
  return encode(text.toWellFormed ? text.toWellFormed() : text);
}

let redraw = () => {};

/** Tell who draws the page; called once. */
export function whenMoved(handler) {
  redraw = handler;
  window.addEventListener("popstate", () => redraw(read()));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-inside]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || event.defaultPrevented) return;
    event.preventDefault();
    go(read(new URL(link.href).search));
  });
}

/** Show another state; the same address again is no new step for the back button. */
export function go(state, { replace = false } = {}) {
  const target = address(state);
  const here = window.location.pathname + window.location.search;
  if (replace || target === here) window.history.replaceState(null, "", target);
  else window.history.pushState(null, "", target);
  redraw(read());
}
