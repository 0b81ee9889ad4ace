// The form that creates an annotation, or edits the one of `?guid=`.

import * as api from "./api.js";
import { format, sent, turned } from "./dates.js";
import { element, field } from "./element.js";

/** The original's names and age of cookies: 1000 days. */
const REMEMBERED = { CreationUser: "action-user", Owner: "action-owner" };
const MAX_AGE = 1000 * 24 * 3600;

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

function remember(name, value) {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${MAX_AGE}; samesite=lax`;
}

/** Shows the form in `main`. `page` has what all views share. */
export async function show(main, page) {
  const id = new URLSearchParams(location.search).get("guid");
  let { annotation, version } = id ? await api.read(id) : { annotation: fresh(page), version: null };

  const title = element("h1");
  const rows = FIELDS.flatMap(([name, properties = {}, isSuggested = false]) => [
    element("label", { for: name, ...(properties.class ? { class: "date", title: "Switch between UTC and local time" } : {}) }, name),
    element("div", {}, field(name, properties, isSuggested ? () => api.values(name) : null)),
  ]);
  const submit = element("button", {}, "Submit");
  const discard = element("button", { type: "button", click: discarded }, "Delete…");
  const form = element("form", { class: "form", submit: submitted, novalidate: true }, ...rows,
    element("label", { for: "Message" }, "Message"), element("textarea", { id: "Message", name: "Message" }),
    element("div", { class: "buttons" }, submit, discard));
  for (const label of form.querySelectorAll("label.date")) label.addEventListener("click", page.turnZone);
  main.replaceChildren(title, form);
  fill();
  form.elements[id ? "Message" : "StartDate"].focus();

  function fill() {
    for (const input of form.querySelectorAll("[name]")) input.value = annotation[input.name];
    title.replaceChildren(...(annotation.Id ? ["Editing Annotation ", element("code", {}, annotation.Id)] : ["New Annotation"]));
    discard.hidden = !annotation.Id;
  }

  async function submitted(event) {
    event.preventDefault();
    const now = new Date();
    const body = { ...annotation, ...Object.fromEntries(new FormData(form)) };
    for (const name of ["StartDate", "EndDate"]) body[name] = sent(body[name], now, page.isUtc());
    for (const [name, cookie] of Object.entries(REMEMBERED)) remember(cookie, body[name]);
    submit.disabled = true;
    await page.attempt(async () => {
      const isNew = !annotation.Id;
      ({ annotation, version } = await (isNew ? api.create(body) : api.replace(body, version)));
      history.replaceState(null, "", page.link(annotation));
      fill();
      page.notice(isNew ? "Created." : "Saved.");
    });
    submit.disabled = false;
  }

  async function discarded() {
    if (!(await page.remove(annotation))) return;
    history.replaceState(null, "", page.base);
    ({ annotation, version } = { annotation: fresh(page), version: null });
    fill();
  }

  return {
    turn: (isUtc) => {
      for (const name of ["StartDate", "EndDate"]) form.elements[name].value = turned(form.elements[name].value, isUtc);
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
