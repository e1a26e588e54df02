// Makes nodes of the page. Text becomes text nodes and never markup, so a document cannot smuggle any in.

const ALLOWED = /^[a-z][a-z-]*$/;

/**
 * One element.
 * `text`, `on` (event -> handler), `vars` (CSS custom properties) and `value` are special;
 * everything else is an attribute: `true` sets it empty, `false`, null and undefined leave it out.
 */
export function make(name, options = {}, ...children) {
  const node = document.createElement(name);
  fill(node, options);
  node.append(...present(children));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for drawings. */
export function draw(name, options = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  fill(node, options);
  node.append(...present(children));
  return node;
}

function fill(node, { text, on = {}, vars = {}, value, ...attributes }) {
  for (const [name, given] of Object.entries(attributes)) {
    const usable = ALLOWED.test(name) || name === "viewBox";
    if (!usable || name.startsWith("on")) throw new Error(`no attribute of this page: ${name}`);
    if (given === true) node.setAttribute(name, "");
    else if (given !== false && given !== null && given !== undefined) node.setAttribute(name, String(given));
  }
  for (const [event, handler] of Object.entries(on)) node.addEventListener(event, handler);
  for (const [name, given] of Object.entries(vars)) node.style.setProperty(name, String(given));
  if (text !== undefined && text !== null) node.textContent = String(text);
  if (value !== undefined) node.value = value;
}

function present(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** Put `children` in the place of what `node` holds. */
export function put(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

/** Say something to people who do not see the page. */
export function announce(text) {
  document.getElementById("announcement").textContent = text;
}

const COUNT = new Intl.NumberFormat("en");

/** 12345 -> 12,345 */
export function count(number) {
  return COUNT.format(Number(number) || 0);
}

/** "1 document", "2 documents" */
export function counted(number, noun, several = `${noun}s`) {
  return `${count(number)} ${Number(number) === 1 ? noun : several}`;
}

/** A score of unknown range, short. */
export function short(score) {
  const number = Number(score ?? Number.NaN);
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size !== 0 && (size < 0.001 || size >= 100000)) return number.toExponential(2).replace("-", "−");
  return number.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3).replace("-", "−");
}

/** A share for people: 0.4213 -> 42 %, tiny ones stay visible. */
export function percent(share) {
  const number = Number(share);
  if (share === null || share === undefined || !Number.isFinite(number)) return "–";
  if (number > 0 && number < 0.001) return "< 0.1 %";
  if (number < 0.1 && number > 0) return `${Number((number * 100).toFixed(1))} %`;
  return `${Math.round(number * 100)} %`;
}

/** A time for people, in their zone; what it was given where that is no time. */
export function moment(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return String(text ?? "");
  return time.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** What stands in a metadata field, as one line. */
export function plain(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
