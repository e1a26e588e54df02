// Talks to the HTTP API. Every refusal becomes one sentence a person can act on.

let token = ""; // in memory only: gone when the page is closed

/** Remember the token for writes (and for reads, where the server wants one for those too). */
export function useToken(text) {
  token = text.trim();
}

/** True when a token was typed in. */
export function hasToken() {
  return token !== "";
}

/** Why the server did not do it. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.name = "Refused";
    this.status = status;
  }
}

const MEANING = {
  401: "The server wants a token for this, or the one given is not right.",
  403: "The server does not allow this.",
  413: "This is too long for the server: a document may have up to one megabyte.",
  429: "The server is busy right now. Try again in a moment.",
  503: "The server could not answer in time, or is shutting down. Try again in a moment.",
};

async function call(method, path, { body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is it still running?");
  }
  const told = await reply.json().catch(() => null);
  if (reply.ok && told !== null) return told;
  if (reply.ok) throw new Refused(reply.status, "The server answered with something that is not JSON.");
  const reason = told?.error?.message;
  const meaning = MEANING[reply.status];
  throw new Refused(reply.status, meaning ?? sentence(reason) ?? `The server refused with status ${reply.status}.`);
}

function sentence(text) {
  if (typeof text !== "string" || !text) return null;
  const whole = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function part(text) {
  return encodeURIComponent(text.toWellFormed ? text.toWellFormed() : text);
}

const base = (system) => `/v1/systems/${part(system)}`;

/** Browsers read `/documents/..` as a step up, whatever its encoding, so these ids travel in a body. */
const isDots = (id) => id === "." || id === "..";

/** All systems of this server. */
export async function systems(signal) {
  return (await call("GET", "/v1/systems", { signal })).systems ?? [];
}

/** The hits of one question and how they came about. */
export async function search(system, { query, items = [], where = [], k }, signal) {
  const body = { k };
  if (query) body.query = query;
  if (items.length) body.history = items;
  if (where.length) body.filters = filters(where);
  const told = await call("POST", `${base(system)}/search`, { body, signal });
  return { ...told, hits: told.results?.[0]?.hits ?? [] };
}

/** A number typed into a field may be a number in the metadata or a text that looks like one: ask for both. */
function filters(where) {
  const wanted = {};
  for (const [field, value] of where) {
    const values = [value];
    if (/^-?\d{1,15}(\.\d{1,10})?$/.test(value)) values.push(Number(value));
    if (value === "true" || value === "false") values.push(value === "true");
    wanted[field] = [...(Object.hasOwn(wanted, field) ? wanted[field] : []), ...values];
  }
  return wanted;
}

/** One node of the id tree. */
export function tree(system, prefix, signal) {
  return call("GET", `${base(system)}/tree?prefix=${prefix.join("-")}`, { signal });
}

/** How often documents were served, and which are hubs. */
export function audit(system, signal) {
  return call("GET", `${base(system)}/audit`, { signal });
}

/** A page of the documents. */
export function documents(system, offset, limit, signal) {
  return call("GET", `${base(system)}/documents?offset=${offset}&limit=${limit}`, { signal });
}

/** One document, or null where there is none. */
export async function documentOf(system, id, signal) {
  if (isDots(id)) throw new Refused(0, "A browser cannot ask for a document with this id.");
  try {
    return await call("GET", `${base(system)}/documents/${part(id)}`, { signal });
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Add a document or replace it. */
export function save(system, { id, title, text, metadata }) {
  if (isDots(id)) return call("POST", `${base(system)}/documents:bulk`, { body: { put: [{ id, title, text, metadata }] } });
  return call("PUT", `${base(system)}/documents/${part(id)}`, { body: { title, text, metadata } });
}

/** Take a document out. */
export function remove(system, id) {
  if (isDots(id)) return call("POST", `${base(system)}/documents:bulk`, { body: { delete: [id] } });
  return call("DELETE", `${base(system)}/documents/${part(id)}`);
}

/** Every state the corpus has been in, newest first. */
export async function generations(system, signal) {
  const told = await call("GET", `${base(system)}/history`, { signal });
  const list = Array.isArray(told) ? told : (told.generations ?? told.history ?? []);
  return { current: told.generation ?? list[0]?.number ?? 0, list };
}

/** Bring an earlier generation back. */
export function rollback(system, to) {
  return call("POST", `${base(system)}/rollback`, { body: { to } });
}
