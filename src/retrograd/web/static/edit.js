// The form that adds a document or changes one.

import { counted, make } from "./elements.js";

/** `save(document, isNew)` gets what was typed; `fill` turns the form to an existing document, `begin` to a new one. */
export function documentForm({ save }) {
  let kept = null; // the document being edited
  const id = make("input", { id: "document-id", required: true, maxlength: 512, autocomplete: "off", spellcheck: "false" });
  const title = make("input", { id: "document-title", maxlength: 2048, autocomplete: "off" });
  const text = make("textarea", { id: "document-text", rows: 5 });
  const heading = make("h2", { text: "Add a document" });
  const fields = make("p", { class: "quiet", hidden: true });
  const done = make("button", { type: "submit", class: "button", text: "Add" });
  const cancel = make("button", { type: "button", class: "button-quiet", text: "Cancel", hidden: true, on: { click: () => reset() } });
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const node = make(
    "form",
    {
      class: "edit", novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          submit();
        },
        keydown: (event) => {
          if (event.key === "Escape" && kept) reset();
        },
      },
    },
    heading,
    make("label", { for: "document-id", text: "Id" }), id,
    make("label", { for: "document-title", text: "Title" }), title,
    make("label", { for: "document-text", text: "Text" }), text,
    fields, problem,
    make("div", { class: "row" }, done, cancel),
  );

  function submit() {
    const given = { id: id.value.trim(), title: title.value.trim(), text: text.value.trim() };
    const missing = !given.id ? [id, "Give the document an id."] : !given.title && !given.text ? [title, "Give it a title or a text."] : null;
    problem.hidden = !missing;
    if (missing) {
      problem.textContent = missing[1];
      missing[0].focus();
      return;
    }
    save({ ...given, metadata: kept?.metadata ?? {} }, kept === null);
  }

  function show() {
    const many = Object.keys(kept?.metadata ?? {}).length;
    heading.textContent = kept ? "Edit a document" : "Add a document";
    done.textContent = kept ? "Save" : "Add";
    cancel.hidden = !kept;
    id.readOnly = Boolean(kept);
    fields.hidden = !many;
    fields.textContent = `Its ${counted(many, "metadata field")} stay${many === 1 ? "s" : ""} as ${many === 1 ? "it is" : "they are"}.`;
    problem.hidden = true;
  }

  function reset() {
    kept = null;
    for (const field of [id, title, text]) field.value = "";
    show();
  }

  function fill(document) {
    kept = document;
    [id.value, title.value, text.value] = [document.id, document.title ?? "", document.text ?? ""];
    show();
    title.focus();
    node.scrollIntoView({ block: "nearest" });
  }

  function begin() {
    reset();
    id.focus();
    node.scrollIntoView({ block: "nearest" });
  }

  return { node, reset, fill, begin };
}
