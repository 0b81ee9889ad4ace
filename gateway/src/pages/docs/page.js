// Shows the API documents of this gateway and lets their operations be tried. No library, nothing from elsewhere; text
// from documents and answers goes into the page as text, never as markup.
"use strict";

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch"];
/** Longest answer that is shown, in characters. */
const LONGEST = 1 << 18;

const main = document.getElementById("main");
const nav = document.getElementById("documents");
const token = document.getElementById("token");

/** An element with attributes and children; texts become text nodes. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A text in which words between backquotes are code. */
function prose(text) {
  return (text ?? "").split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

/** What a `$ref` of the same document points to. */
function resolve(root, node) {
  let steps = 0;
  while (node && typeof node.$ref === "string" && node.$ref.startsWith("#/") && steps++ < 32) {
    const parts = node.$ref.slice(2).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    node = parts.reduce((at, part) => (at === undefined || at === null ? undefined : at[part]), root);
  }
  return node ?? {};
}

/** A value that a schema allows: its example where it has one. */
function sample(root, schema, depth = 0) {
  schema = resolve(root, schema);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum?.length) return schema.enum[0];
  if (depth > 6) return null;
  const choice = schema.oneOf ?? schema.anyOf;
  if (choice?.length) return sample(root, choice[0], depth + 1);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => sample(root, part, depth + 1)));
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "array") return [sample(root, schema.items ?? {}, depth + 1)];
  if (type === "object" || schema.properties) {
    const members = Object.entries(schema.properties ?? {});
    return Object.fromEntries(members.map(([key, value]) => [key, sample(root, value, depth + 1)]));
  }
  return { string: "text", integer: 1, number: 1.5, boolean: true }[type] ?? null;
}

/** The example of a body: type and text. */
function example(root, content) {
  const [type, media] = Object.entries(content ?? {})[0] ?? [];
  if (!type) return null;
  const named = Object.values(media.examples ?? {})[0];
  const value = media.example ?? resolve(root, named ?? {}).value ?? sample(root, media.schema ?? {});
  return { type, text: typeof value === "string" ? value : JSON.stringify(value, null, 2) };
}

function typeName(root, schema) {
  schema = resolve(root, schema ?? {});
  if (schema.type === "array") return `list of ${typeName(root, schema.items)}`;
  const type = [schema.type ?? ""].flat().join(" | ");
  const words = [schema.format, schema.enum?.filter((value) => value !== "").join(", "), schema.default !== undefined && `default ${schema.default}`];
  return [type, ...words.filter(Boolean)].filter(Boolean).join(", ");
}

function parameterTable(root, parameters, inputs) {
  if (!parameters.length) return null;
  const rows = parameters.map((parameter) => {
    const hint = parameter.example ?? resolve(root, parameter.schema).examples?.[0] ?? "";
    const input = el("input", { "aria-label": `${parameter.name} (${parameter.in})`, placeholder: String(hint) });
    inputs.push({ parameter, input });
    const name = el("code", parameter.required ? { class: "required" } : {}, parameter.name);
    return el("tr", {},
      el("td", {}, name, el("br"), el("small", {}, parameter.in)),
      el("td", { class: "text" }, prose(parameter.description), el("br"), el("small", {}, typeName(root, parameter.schema))),
      el("td", { class: "value" }, input));
  });
  const head = el("tr", {}, ...["Parameter", "Meaning", "Value"].map((text) => el("th", { scope: "col" }, text)));
  return [el("h3", {}, "Parameters"), el("table", {}, el("thead", {}, head), el("tbody", {}, rows))];
}

function responses(root, operation) {
  const parts = Object.entries(operation.responses ?? {}).map(([status, given]) => {
    const response = resolve(root, given);
    const shown = example(root, response.content);
    return [
      el("h3", {}, `${status} `, el("small", {}, shown?.type ?? "")),
      el("div", { class: "text" }, prose(response.description)),
      shown && el("pre", {}, shown.text),
    ];
  });
  return parts.flat();
}

/** The request that the reader has filled in: address and options of `fetch`. */
function request(path, method, inputs, body) {
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of inputs) {
    if (input.value === "") continue;
    const part = input.value.split("/").map(encodeURIComponent).join("/");
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, part);
    if (parameter.in === "query") query.append(parameter.name, input.value);
    if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  if (token.value) headers.authorization = `Bearer ${token.value}`;
  const options = { method: method.toUpperCase(), headers };
  if (body?.input.value) {
    options.body = body.input.value;
    headers["content-type"] ??= body.type;
  }
  return { url: query.size ? `${path}?${query}` : path, options };
}

/** Shows an answer while it comes; some go on until they are stopped. */
async function follow(answer, head, output) {
  const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
  head += `\n\n${answer.status} ${answer.statusText}\n${lines.join("\n")}\n\n`;
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader.read()) {
    text += piece.value;
    output.textContent = head + text.slice(0, LONGEST);
    if (text.length > LONGEST) {
      output.textContent += "\n… (the rest is not shown)";
      return reader.cancel();
    }
  }
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown as it came.
  }
  output.textContent = head + text;
}

/** The button that sends the operation, and stops an answer that goes on. */
function tryButton(path, method, inputs, body, output) {
  const button = el("button", { type: "button" }, "Try it");
  let running = null;
  button.addEventListener("click", async () => {
    if (running) return running.abort();
    running = new AbortController();
    button.textContent = "Stop";
    const { url, options } = request(path, method, inputs, body);
    const head = `${options.method} ${url}`;
    output.hidden = false;
    output.textContent = `${head} …`;
    try {
      await follow(await fetch(url, { ...options, signal: running.signal }), head, output);
    } catch (error) {
      output.textContent += `\n\n${error.name === "AbortError" ? "stopped" : error}`;
    }
    running = null;
    button.textContent = "Try it";
  });
  return button;
}

function operation(root, path, method, item) {
  const own = item[method];
  const parameters = [...(item.parameters ?? []), ...(own.parameters ?? [])].map((each) => resolve(root, each));
  const inputs = [];
  const wanted = example(root, resolve(root, own.requestBody).content);
  const body = wanted && { type: wanted.type, input: el("textarea", { "aria-label": "request body" }, wanted.text) };
  const output = el("pre", { "aria-live": "polite", hidden: true });
  const elsewhere = item.servers?.[0];
  const button = elsewhere
    ? el("p", {}, `Not here but at ${elsewhere.url}. ${elsewhere.description ?? ""}`)
    : tryButton(path, method, inputs, body, output);
  const summary = el("summary", {},
    el("span", { class: `method ${method}` }, method.toUpperCase()),
    el("span", { class: "path" }, path),
    el("span", { class: "summary" }, own.summary ?? ""));
  const content = el("div", {},
    own.description && el("p", { class: "text" }, prose(own.description.trim())),
    parameterTable(root, parameters, inputs),
    body && [el("h3", {}, "Body ", el("small", {}, body.type)), body.input],
    button, output,
    el("h3", {}, "Answers"), responses(root, own));
  return el("details", { class: "operation", id: own.operationId ?? `${method} ${path}` }, summary, content);
}

function show(root, chosen, wanted) {
  document.title = `${root.info?.title ?? "API"} – Quintet`;
  const groups = new Map();
  for (const [path, item] of Object.entries(root.paths ?? {})) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] ?? "";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(root, path, method, item));
    }
  }
  const sections = [...groups].map(([tag, operations]) => [tag && el("h2", {}, tag), operations]);
  main.replaceChildren(
    el("h1", {}, root.info?.title ?? "", " ", el("small", {}, root.info?.version ?? "")),
    el("p", { class: "text" }, prose(root.info?.description?.trim())),
    el("p", {}, "As a file: ", el("a", { href: chosen.url }, "JSON"), ", ",
      el("a", { href: chosen.url.replace(/json$/, "yaml") }, "YAML")),
    ...sections.flat(2).filter(Boolean));
  for (const operation of main.querySelectorAll("details")) {
    operation.addEventListener("toggle", () => {
      if (operation.open) history.replaceState(null, "", `#${encodeURIComponent(chosen.name)}/${encodeURIComponent(operation.id)}`);
    });
  }
  const target = wanted && document.getElementById(wanted);
  if (target) {
    target.open = true;
    target.scrollIntoView();
  }
}

async function json(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

async function open(documents) {
  const [name, wanted] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const chosen = documents.find((each) => each.name === name) ?? documents[0];
  if (!chosen) {
    main.replaceChildren(el("p", {}, "This build holds no API documents."));
    return;
  }
  for (const link of nav.children) {
    if (link.dataset.name === chosen.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  show(await json(chosen.url), chosen, wanted);
}

async function start() {
  const documents = await json("/docs/openapi");
  nav.append(...documents.map((each) => el("a", { href: `#${encodeURIComponent(each.name)}`, "data-name": each.name }, each.title)));
  const reopen = () => open(documents).catch(fail);
  addEventListener("hashchange", reopen);
  await open(documents);
}

function fail(error) {
  main.replaceChildren(el("p", {}, `The documents could not be loaded: ${error.message}`));
}

start().catch(fail);
