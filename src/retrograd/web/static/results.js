// How an answer looks: rank, title, snippet, path, and what else is known of the document.

import { count, counted, make, plain, put, short } from "./elements.js";
import { pathOf } from "./path.js";
import { documentOf } from "./server.js";

/** One answer as a list item that can hold the focus. */
export function resultItem(hit, { system, query }) {
  const [button, panel] = details(hit, system);
  return make(
    "li",
    {
      class: "result", tabindex: -1, "data-id": hit.id,
      on: {
        keydown: (event) => {
          if (event.key !== "Enter" || event.target !== event.currentTarget) return;
          event.preventDefault();
          button.click();
        },
      },
    },
    make("span", { class: "result-rank", "aria-label": `Rank ${hit.rank}`, text: hit.rank }),
    make(
      "div",
      { class: "result-body" },
      make("h3", { class: "result-title", text: titleOf(hit) }),
      hit.snippet ? make("p", { class: "result-snippet" }, marked(hit.snippet, query)) : null,
      pathOf(hit, system),
      make(
        "p",
        { class: "result-facts" },
        make("span", { class: "fact-id", text: hit.id }),
        make("span", { text: `score ${short(hit.score)}` }),
        make("span", { text: servedWords(hit.served) }),
        button,
      ),
      panel,
    ),
  );
}

/** Marks a document that turns up for everything; `why` says how often. */
export function hubBadge(why) {
  return make("span", { class: "badge badge-hub", text: "hub", title: why });
}

/** What a document is called: its title, else its id. */
export function titleOf(hit) {
  return String(hit.title || "").trim() || hit.id;
}

function servedWords(served) {
  return Number(served) > 1 ? `served ${count(served)} times` : "";
}

/** A button and what it opens: the whole text, read when first wanted, and the metadata. */
function details(hit, system) {
  const text = make("p", { class: "document-text quiet", text: "Loading the text…" });
  const fields = Object.entries(hit.metadata ?? {});
  const panel = make("div", { class: "more", hidden: true }, text, fields.length ? fieldList(fields) : null);
  const button = make("button", {
    type: "button", class: "button-link", "aria-expanded": "false",
    text: fields.length ? `Text and ${counted(fields.length, "field")}` : "Text",
    on: {
      click: () => {
        panel.hidden = !panel.hidden;
        button.setAttribute("aria-expanded", String(!panel.hidden));
        if (panel.dataset.asked) return;
        panel.dataset.asked = "yes";
        tellText(text, system, hit.id);
      },
    },
  });
  return [button, panel];
}

async function tellText(node, system, id) {
  try {
    const found = await documentOf(system, id);
    const words = found ? found.text || "This document has a title and no text." : "This document is no longer there.";
    node.textContent = words;
    node.classList.toggle("quiet", !found?.text);
  } catch (error) {
    node.textContent = error.message;
  }
}

function fieldList(fields) {
  return make(
    "dl",
    { class: "fields" },
    fields.map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", { text: plain(value) }))),
  );
}

const COMMON = new Set("and are but can for from has have how into its not one that the this was what which who with you".split(" "));

/** The snippet with the telling words of the question marked. */
export function marked(text, query) {
  const words = (query ?? "").toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];
  const wanted = new Set(words.filter((word) => !COMMON.has(word)));
  if (!wanted.size) return [text];
  return text
    .split(/([\p{L}\p{N}]+)/u)
    .filter(Boolean)
    .map((piece) => (wanted.has(piece.toLowerCase()) ? make("mark", { text: piece }) : piece));
}

/** Show the answers in `list`. */
export function showResults(list, hits, options) {
  put(list, hits.map((hit) => resultItem(hit, options)));
}
