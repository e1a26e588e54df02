// Chooses the items somebody took before: type a part of a title, pick, take back.

import { announce, make, put } from "./elements.js";
import { latest, step, stopped } from "./pieces.js";
import { documents, documentOf, search } from "./server.js";
import { titleOf } from "./results.js";

const OFFERED = 6;
const READ_AT_ONCE = 100;
const READ_AT_MOST = 2000;

/** The picker. `change(ids)` is called with the new list, oldest first. */
export function itemPicker({ id, change }) {
  let chosen = [];
  let system = null;
  const titles = new Map(); // `system id` -> title
  const request = latest();
  const chips = make("ul", { class: "chips", "aria-label": "Items taken before, oldest first" });
  const offers = make("ul", { class: "offers", id: `${id}-offers`, hidden: true, "aria-label": "Items that fit" });
  const field = make("input", {
    id, autocomplete: "off", placeholder: "Find an item by its title", "aria-controls": `${id}-offers`,
    on: { input: () => wait(), keydown: (event) => keys(event) },
  });
  const node = make(
    "div",
    { class: "items", hidden: true, on: { focusout: (event) => event.relatedTarget && !node.contains(event.relatedTarget) && close() } },
    make("label", { for: id, text: "Taken before" }),
    chips,
    make("div", { class: "items-field" }, field, offers),
  );

  let timer = 0;
  function wait() {
    window.clearTimeout(timer);
    timer = window.setTimeout(offer, 180);
  }

  async function offer() {
    const words = field.value.trim();
    if (!words || !system) return close();
    try {
      const found = await fitting(system, words, request.next());
      put(
        offers,
        found.map((item) =>
          make(
            "li", {},
            make("button", { type: "button", class: "offer", on: { click: () => take(item), keydown: (event) => keys(event) } },
              make("span", { text: titleOf(item) }), make("span", { class: "fact-id", text: item.id })),
          ),
        ),
        found.length ? null : make("li", { class: "quiet", text: "No item fits these words." }),
      );
      offers.hidden = false;
      announce(found.length ? `${found.length} items fit` : "No item fits these words");
    } catch (error) {
      if (stopped(error)) return undefined;
      put(offers, make("li", { class: "quiet", text: error.message }));
      offers.hidden = false;
    }
    return undefined;
  }

  function keys(event) {
    if (event.key === "Escape" && !offers.hidden) {
      event.preventDefault();
      close();
      field.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const by = event.key === "ArrowDown" ? 1 : -1;
      if (!step([...offers.querySelectorAll("button")], event.target, by) && by < 0) field.focus();
    } else if (event.key === "Enter" && event.target === field) {
      event.preventDefault();
      offers.querySelector("button")?.click();
    } else if (event.key === "Backspace" && event.target === field && !field.value && chosen.length) {
      change(chosen.slice(0, -1));
    }
  }

  function take(item) {
    titles.set(`${system.name} ${item.id}`, titleOf(item));
    field.value = "";
    close();
    field.focus();
    change([...chosen.filter((one) => one !== item.id), item.id]);
  }

  function close() {
    request.stop();
    offers.hidden = true;
  }

  async function nameOf(item, where) {
    const key = `${system.name} ${item}`;
    if (!titles.has(key)) {
      titles.set(key, item);
      const found = await documentOf(system.name, item).catch(() => null);
      if (found) titles.set(key, titleOf(found));
    }
    where.textContent = titles.get(key);
  }

  function update(list, asked) {
    chosen = list;
    system = asked ?? null;
    node.hidden = !system;
    if (!system) return;
    put(
      chips,
      list.map((item) => {
        const name = make("span", { text: titles.get(`${system.name} ${item}`) ?? item });
        nameOf(item, name);
        const away = () => change(chosen.filter((one) => one !== item));
        return make("li", { class: "chip" }, name,
          make("button", { type: "button", class: "button-icon", "aria-label": `Remove ${item}`, text: "×", on: { click: away } }));
      }),
    );
  }

  return { node, update };
}

/** Items whose titles fit: those a search finds, else those of a scan through the list. */
async function fitting(system, words, signal) {
  if (system.takes.includes("query")) {
    return (await search(system.name, { query: words, k: OFFERED }, signal)).hits;
  }
  const found = [];
  for (let offset = 0; offset < READ_AT_MOST && found.length < OFFERED; offset += READ_AT_ONCE) {
    const page = (await documents(system.name, offset, READ_AT_ONCE, signal)).documents ?? [];
    found.push(...page.filter((item) => titleOf(item).toLowerCase().includes(words.toLowerCase())));
    if (page.length < READ_AT_ONCE) break;
  }
  return found.slice(0, OFFERED);
}
