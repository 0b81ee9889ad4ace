// The form that creates an annotation, or edits the one of `?guid=`.

import * as api from "./api.js";
import { format, sent, turned } from "./dates.js";
import { element, field } from "./element.js";

/** The original's names and age of cookies: 1000 days. */
const REMEMBERED = { CreationUser: "action-user", Owner: "action-owner" };
const MAX_AGE = 1000 * 24 * 3600;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const FIELDS = [
  ["StartDate", { class: "date" }], ["EndDate", { class: "date" }], ["CreationUser"], ["Url", { type: "url" }],
  ["Host", {}, true], ["Owner", {}, true], ["Category", {}, true],
];

function remembered(name) {
  const pair = document.cookie.split("; ").find((text) => text.startsWith(`${name}=`));
  try {
    return decodeURIComponent(pair?.slice(name.length + 1) ?? "");
  } catch {
    return "";
  }
}

/** A key under which an annotation is created once, however often it is sent. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function remember(name, value) {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${MAX_AGE}; samesite=lax`;
}

/** Shows the form in `main`. `page` has what all views share. */
export async function show(main, page) {
  const id = new URLSearchParams(location.search).get("guid");
  if (id && !UUID.test(id)) throw new Error("not found");
  let { annotation, version } = id ? await api.read(id) : { annotation: fresh(page), version: null };
  /** What was written when an annotation was sent to be created, what was sent, and under which key. */
  let sending = { text: null, body: null, key: null };
  /** What the fields held before anybody wrote: they may have changed what they were given. */
  const filled = {};

  const title = element("h1");
  const rows = FIELDS.flatMap(([name, properties = {}, isSuggested = false]) => [
    element("label", { for: name, ...(properties.class ? { class: "date", title: "Switch between UTC and local time" } : {}) }, name),
    element("div", {}, field(name, properties, isSuggested ? () => api.values(name) : null)),
  ]);
  const discard = element("button", { type: "button", click: discarded }, "Delete…");
  const form = element("form", { class: "form", submit: submitted, novalidate: true }, ...rows,
    element("label", { for: "Message" }, "Message"), element("textarea", { id: "Message", name: "Message" }),
    element("div", { class: "buttons" }, element("button", {}, "Submit"), discard));
  for (const label of form.querySelectorAll("label.date")) label.addEventListener("click", page.turnZone);
  main.replaceChildren(title, form);
  fill();
  form.elements[id ? "Message" : "StartDate"].focus();

  function fill() {
    for (const input of form.querySelectorAll("[name]")) {
      input.value = annotation[input.name];
      filled[input.name] = input.value;
    }
    title.replaceChildren(...(annotation.Id ? ["Editing Annotation ", element("code", {}, annotation.Id)] : ["New Annotation"]));
    discard.hidden = !annotation.Id;
  }

  /**
   * What was written: of a new annotation all, of another what was changed. So what nobody touched stays as it is, to the
   * letter, and what this page does not show (fractions of a second, tags of Grafana's) stays, too.
   */
  function written() {
    const now = new Date();
    const body = annotation.Id ? {} : { ...annotation };
    for (const [name, value] of new FormData(form)) {
      const isDate = name.endsWith("Date");
      if (value !== filled[name] || !annotation.Id) body[name] = isDate ? sent(value, now, page.isUtc()) : value;
    }
    return body;
  }

  async function submitted(event) {
    event.preventDefault();
    const isNew = !annotation.Id;
    const text = JSON.stringify([...new FormData(form)]);
    // The same once more, since no answer came, is the same annotation, `now` included.
    if (!isNew || text !== sending.text) sending = { text, body: written(), key: newKey() };
    const { body, key } = sending;
    // Nothing is written meanwhile that the answer would replace.
    const focused = document.activeElement;
    form.inert = true;
    page.notice();
    await page.attempt(async () => {
      ({ annotation, version } = await (isNew ? api.create(body, key) : api.change(annotation.Id, body, version)));
      sending = { text: null, body: null, key: null };
      history.replaceState(null, "", page.link(annotation));
      fill();
      page.notice(isNew ? "Created." : "Saved.");
      for (const [name, cookie] of Object.entries(REMEMBERED)) {
        if (isNew && body[name] !== "") remember(cookie, body[name]);
      }
    });
    form.inert = false;
    focused.focus();
  }

  async function discarded() {
    if (!(await page.remove(annotation))) return;
    history.replaceState(null, "", page.base);
    ({ annotation, version } = { annotation: fresh(page), version: null });
    fill();
  }

  return {
    turn: (isUtc) => {
      for (const name of ["StartDate", "EndDate"]) {
        const { value } = form.elements[name];
        form.elements[name].value = turned(value, isUtc);
        // The same instant, which nobody has changed.
        if (value === filled[name]) filled[name] = form.elements[name].value;
      }
    },
  };
}

/** A new annotation: now, by whoever wrote the last one. */
function fresh(page) {
  const now = format(new Date(), page.isUtc());
  return {
    Message: "", CreationUser: remembered(REMEMBERED.CreationUser), Url: "", Source: "annotate-ui", Host: "",
    Owner: remembered(REMEMBERED.Owner), Category: "", StartDate: now, EndDate: now,
  };
}
