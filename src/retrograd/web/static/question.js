// The form of a question: words, items taken before, filters, how many answers, and of which system.

import { make, put } from "./elements.js";
import { itemPicker } from "./items.js";
import { countPicker, systemPicker } from "./pieces.js";

let serial = 0;

/**
 * The form. `ask(changes)` is called with what a person changed; `pickers(state, systems)` lists the
 * system choices to offer as { label, key }.
 */
export function questionForm({ ask, clear, pickers, placeholder }) {
  const id = `question-${(serial += 1)}`;
  const words = make("input", {
    id, type: "search", name: "q", maxlength: 2048, autocomplete: "off", spellcheck: "false",
    enterkeyhint: "search", placeholder, "data-main-field": true,
  });
  const label = make("label", { for: id, class: "unseen", text: "What are you looking for?" });
  const line = make("div", { class: "ask-line" }, label, words, make("button", { type: "submit", class: "button", text: "Search" }));
  const options = make("div", { class: "ask-options" });
  const rows = make("div", { class: "filters" });
  const items = itemPicker({ id: `${id}-items`, change: (list) => ask({ items: list }) });
  const form = make(
    "form",
    {
      class: "ask", role: "search",
      on: {
        submit: (event) => {
          event.preventDefault();
          ask({});
        },
        keydown: (event) => {
          if (event.key !== "Escape" || event.defaultPrevented) return;
          event.preventDefault();
          clear();
        },
      },
    },
    line, items.node, options, rows,
  );

  function addRow(field = "", value = "") {
    const number = (serial += 1);
    const row = make(
      "div",
      { class: "filter" },
      make("label", { class: "unseen", for: `field-${number}`, text: "Field" }),
      make("input", { id: `field-${number}`, class: "filter-field", placeholder: "field", value: field, autocomplete: "off" }),
      make("span", { class: "quiet", "aria-hidden": "true", text: "=" }),
      make("label", { class: "unseen", for: `value-${number}`, text: "Value" }),
      make("input", { id: `value-${number}`, class: "filter-value", placeholder: "value", value, autocomplete: "off" }),
      make("button", {
        type: "button", class: "button-icon", "aria-label": `Remove the filter ${field}`.trim(), text: "×",
        on: {
          click: () => {
            const counted = Boolean(row.querySelector(".filter-field").value.trim());
            row.remove();
            if (counted) ask({});
            else words.focus();
          },
        },
      }),
    );
    rows.append(row);
    return row;
  }

  function filters() {
    return [...rows.children]
      .map((row) => [row.querySelector(".filter-field").value.trim(), row.querySelector(".filter-value").value.trim()])
      .filter(([field, value]) => field && value);
  }

  function update(state, systems) {
    const chosen = systems.filter((system) => pickers.some(({ key }) => state[key] === system.name));
    if (document.activeElement !== words || words.value.trim() !== state.query) words.value = state.query;
    const takesWords = chosen.some((system) => system.takes.includes("query"));
    line.classList.toggle("without-words", !takesWords);
    words.disabled = !takesWords;
    items.update(state.items, chosen.find((system) => system.takes.includes("history")));
    const focused = document.activeElement?.id;
    put(
      options,
      pickers.map(({ label: title, key }) =>
        systemPicker({ id: `${id}-${key}`, label: title, systems, current: state[key], change: (name) => ask({ [key]: name }) }),
      ),
      countPicker(`${id}-k`, state.k, (k) => ask({ k })),
      make("button", {
        type: "button", id: `${id}-filter`, class: "button-quiet", text: "Add a filter",
        on: { click: () => addRow().querySelector("input").focus() },
      }),
    );
    if (focused && options.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused).focus();
    if (JSON.stringify(filters()) !== JSON.stringify(state.where)) {
      rows.replaceChildren();
      for (const [field, value] of state.where) addRow(field, value);
    }
  }

  return { node: form, words, update, values: () => ({ query: words.value.trim(), where: filters() }) };
}
