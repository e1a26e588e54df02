// Controls and messages that more than one view uses.

import { count, counted, make } from "./elements.js";
import { Refused, hasToken, useToken } from "./server.js";

/** What went wrong, in words, with a way to try again. */
export function failure(error, again) {
  const words = error instanceof Refused ? error.message : "Something on this page went wrong. Reload it, please.";
  return make(
    "div",
    { class: "notice notice-bad", role: "alert" },
    make("p", { text: words }),
    again && make("button", { type: "button", class: "button-quiet", text: "Try again", on: { click: again } }),
  );
}

/** Nothing here, and why. */
export function nothing(words, ...more) {
  return make("div", { class: "notice" }, make("p", { text: words }), ...more);
}

/** Asks for the server's token, keeps it in memory, then goes on. */
export function tokenForm(then) {
  const field = make("input", {
    type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-why",
  });
  const words = hasToken()
    ? "The server did not take this token. Type it again."
    : "The server wants its token for this. It is kept until you close or reload the page, and nowhere else.";
  return make(
    "form",
    {
      class: "notice token",
      on: {
        submit: (event) => {
          event.preventDefault();
          useToken(field.value);
          then();
        },
      },
    },
    make("p", { id: "token-why", text: words }),
    make("label", { for: "token", text: "Token" }),
    make("div", { class: "row" }, field, make("button", { type: "submit", class: "button", text: "Use token" })),
  );
}

/** A choice among systems. `current` names the chosen one. */
export function systemPicker({ id, label, systems, current, change }) {
  const select = make(
    "select",
    { id, on: { change: () => change(select.value) } },
    systems.map((system) => make("option", { value: system.name, text: system.name, selected: system.name === current })),
  );
  return make("div", { class: "field" }, make("label", { for: id, text: label }), select);
}

/** A number of answers between 1 and 100. */
export function countPicker(id, current, change) {
  const field = make("input", {
    id, type: "number", min: 1, max: 100, value: current, inputmode: "numeric", class: "narrow",
    on: {
      change: () => {
        const k = Math.min(100, Math.max(1, Math.round(Number(field.value)) || 10));
        field.value = k;
        change(k);
      },
    },
  });
  return make("div", { class: "field" }, make("label", { for: id, text: "Answers" }), field);
}

/** One line about a system: what it does and how large it is. */
export function aboutSystem(system) {
  return make(
    "p",
    { class: "about" },
    make("strong", { text: system.name }),
    make("span", { text: system.summary || system.recipe }),
    make("span", { class: "about-size", text: `${counted(system.documents, "document")}, generation ${count(system.generation)}` }),
  );
}

/** Which of its children the arrow keys move to; `from` is where the key was pressed. */
export function step(items, from, by) {
  const at = items.findIndex((item) => item === from || item.contains(from));
  const to = at < 0 ? (by > 0 ? 0 : -1) : at + by;
  if (to < 0 || to >= items.length) return null;
  items[to].focus();
  items[to].scrollIntoView({ block: "nearest" });
  return items[to];
}

/** One request at a time: a newer one stops the older. */
export function latest() {
  let running = null;
  return {
    next() {
      running?.abort();
      running = new AbortController();
      return running.signal;
    },
    stop() {
      running?.abort();
    },
  };
}

/** True for the error of a request that a newer one stopped. */
export function stopped(error) {
  return error?.name === "AbortError";
}
