// The annotation API, as every client has it. A browser that has to log in asks for the password itself.

const ROOT = `${document.body.dataset.root}/annotation`;

/** Suggestions that a field shows. */
const SUGGESTED = 200;

/** Pause before changes are asked for anew, in milliseconds. */
const ANEW = 5000;

/** Asks; an answer that is no success becomes an error with the API's own words. */
async function ask(method, path, { body, version, key } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (version) headers["if-match"] = version;
  if (key) headers["idempotency-key"] = key;
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let words = text.trim();
  try {
    words = JSON.parse(text).error ?? words;
  } catch {
    // No JSON: the text itself.
  }
  throw Object.assign(new Error(words || `status ${answer.status}`), { status: answer.status });
}

const one = (id) => `/${encodeURIComponent(id)}`;

/** An annotation, and the version that it has; a proxy that compresses makes it a weak one. */
async function withVersion(answer) {
  return { annotation: await answer.json(), version: answer.headers.get("etag")?.replace(/^W\//, "") ?? null };
}

/** A page of a list: annotations, where the next begins (null at the end), how many there are. */
export async function query(params) {
  const answer = await ask("GET", `/query?${params}`);
  return { annotations: await answer.json(), next: answer.headers.get("x-next-cursor"), total: answer.headers.get("x-total-count") };
}

export const read = async (id) => withVersion(await ask("GET", one(id)));
/** Creates an annotation; the same `key` once more creates no second one. */
export const create = async (body, key) => withVersion(await ask("POST", "", { body, key }));
/** Changes these members, unless somebody has changed the annotation since `version`. */
export const change = async (id, body, version) => withVersion(await ask("PATCH", one(id), { body, version }));
export const remove = (id) => ask("DELETE", one(id));
export const restore = (id) => ask("POST", `${one(id)}/restore`);
/** The most frequent values of a field. */
export const values = async (name) => (await ask("GET", `/values/${name}?limit=${SUGGESTED}`)).json();
/**
 * Calls `changed` at the beginning and whenever an annotation changes, until the function that it answers is called. A
 * browser gives up at an answer that is no success, as proxies give while the server restarts; then it is asked anew.
 */
export function follow(changed) {
  let source = null;
  let waiting = null;
  const open = () => {
    source = new EventSource(`${ROOT}/changes`);
    for (const event of ["ready", "create", "update", "delete", "restore"]) source.addEventListener(event, changed);
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) waiting = setTimeout(open, ANEW);
    });
  };
  open();
  return () => {
    clearTimeout(waiting);
    source.close();
  };
}
