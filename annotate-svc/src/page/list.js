// The list: conditions, timeline and table. The conditions are the page's address too, so that a list can be sent on.

import * as api from "./api.js";
import { format, instant, sent, turned } from "./dates.js";
import { element, field } from "./element.js";
import { FIELDS, VERBS, fromParams, toParams } from "./filters.js";
import { draw } from "./timeline.js";

/** Annotations that are fetched at once. */
const PAGE = 200;

/** Letters of an address that the table shows, without its scheme. */
const URL_SHOWN = 20;

/** Pause in which further changes are waited for, in milliseconds. */
const SETTLE = 300;

const HEADS = ["StartDate", "EndDate", "Source", "Host", "CreationUser", "Owner", "Category", "Url", "Message"];

/** An address as a link when it is http or https; anything else (scripts!) as text. */
function address(url) {
  const short = url.replace(/^https?:\/\//i, "");
  const text = short.length > URL_SHOWN ? `${short.slice(0, URL_SHOWN)}…` : short;
  return /^https?:\/\//i.test(url) ? element("a", { href: url, rel: "noopener noreferrer", title: url }, text) : text;
}

/** Shows the list in `main`. `page` has what all views share. */
export async function show(main, page) {
  const conditions = form();
  const count = element("p", { class: "count", role: "status" });
  const timeline = element("div", { class: "timeline", role: "group", "aria-label": "Timeline" });
  const ends = element("div", { class: "ends" });
  const rows = element("tbody");
  const head = element("tr", {}, element("th", {}, "Edit"), ...HEADS.map((name) => element("th", { scope: "col" }, name)));
  const more = element("button", { type: "button", click: () => load(true, shown.params) }, "More");
  main.replaceChildren(conditions, timeline, ends, count,
    element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), rows)), more);

  let shown = { annotations: [], next: null, total: null, window: { start: null, end: null }, params: null };
  /** The rows that are shown, by all that they show: those that stay are neither made anew nor moved. */
  let made = new Map();
  /** Counts the questions: an answer that is overtaken by a newer one is dropped. */
  let asked = 0;
  let unfollow = null;
  let settling = null;
  fill(location.search ? fromParams(new URLSearchParams(location.search)) : { StartDate: "-1h", EndDate: "now" });
  new ResizeObserver(picture).observe(timeline);
  await load(false);

  function form() {
    const verbs = (name) => element("select", { name: `${name}:verb`, "aria-label": `${name}: condition` },
      ...VERBS.map(([text, value]) => element("option", { value }, text)));
    const plain = (name, text, properties = {}) => element("label", properties, text, field(name));
    const live = element("input", { type: "checkbox", change: (event) => followed(event.target.checked) });
    const dates = { title: "RFC 3339, seconds since 1970, now, or -2h" };
    return element("form", { class: "filters", submit: changed, change: changed },
      plain("StartDate", "Start", dates), plain("EndDate", "End", dates),
      ...FIELDS.map((name) => element("fieldset", {}, element("legend", {}, name),
        element("span", {}, verbs(name), field(name, { "aria-label": name }, () => api.values(name))))),
      plain("Url", "Url"), plain("Message", "Words in Message"),
      plain("filter", "Filter, as owner:sre AND !user:empty", { class: "wide" }),
      element("button", {}, "Reload"), element("label", {}, "Live", live));
  }

  function fill(values) {
    for (const input of conditions.querySelectorAll("[name]")) input.value = values[input.name] ?? "";
  }

  async function changed(event) {
    event.preventDefault();
    if (event.target.type !== "checkbox") await load(false);
  }

  function followed(isOn) {
    unfollow?.();
    unfollow = isOn ? api.follow(settle) : null;
  }

  function settle() {
    settling ??= setTimeout(() => {
      settling = null;
      // By the conditions of the list that is shown: others may be half written.
      void load(false, shown.params ?? undefined);
    }, SETTLE);
  }

  async function load(isMore, asWritten = toParams(Object.fromEntries(new FormData(conditions)))) {
    const own = ++asked;
    if (!isMore) history.replaceState(null, "", `?${asWritten}`);
    const params = new URLSearchParams(asWritten);
    const now = new Date();
    for (const name of ["StartDate", "EndDate"]) {
      if (params.has(name)) params.set(name, sent(params.get(name), now, page.isUtc()));
    }
    const window = { start: instant(params.get("StartDate") ?? "-1d", now), end: instant(params.get("EndDate") ?? "now", now) };
    for (const [name, value] of [["limit", PAGE], ["order", "newest"], ["total", 1]]) params.set(name, value);
    if (isMore) params.set("cursor", shown.next);
    await page.attempt(async () => {
      const answer = await api.query(params);
      if (own !== asked) return;
      const annotations = isMore ? [...shown.annotations, ...answer.annotations] : answer.annotations;
      shown = { ...answer, annotations, window: isMore ? shown.window : window, params: asWritten };
      table();
    });
  }

  function table() {
    const now = Date.now();
    const { annotations, next, total } = shown;
    const focused = document.activeElement?.dataset.of;
    const before = made;
    made = new Map();
    const wanted = annotations.map((annotation) => {
      const isActive = Date.parse(annotation.StartDate) <= now && now <= Date.parse(annotation.EndDate);
      const text = JSON.stringify([annotation, isActive, page.isUtc()]);
      made.set(text, made.get(text) ?? before.get(text) ?? row(annotation, isActive));
      return made.get(text);
    });
    for (const [text, row] of before) if (!made.has(text)) row.remove();
    for (const [at, row] of wanted.entries()) {
      if (rows.children[at] !== row) rows.insertBefore(row, rows.children[at] ?? null);
    }
    count.textContent = annotations.length === 0 ? "No annotations in this window." : `${annotations.length} of ${total ?? "?"}`;
    more.hidden = next === null;
    rows.querySelector(`[data-of="${CSS.escape(focused ?? "")}"]`)?.focus();
    picture();
  }

  function row(annotation, isActive) {
    const date = (name) => {
      const at = new Date(annotation[name]);
      return element("td", { class: "date", title: annotation[name] }, Number.isNaN(at.getTime()) ? annotation[name] : format(at, page.isUtc()));
    };
    return element("tr", { class: isActive ? "active" : "" },
      acts(annotation),
      date("StartDate"), date("EndDate"),
      ...["Source", "Host", "CreationUser", "Owner", "Category"].map((name) => element("td", {}, annotation[name])),
      element("td", {}, address(annotation.Url)), element("td", { class: "message" }, annotation.Message));
  }

  /** What can be done with an annotation; who looks at nothing else hears of which one. */
  function acts(annotation) {
    const words = (annotation.Message || annotation.Id).slice(0, 80);
    const named = (act) => ({ "aria-label": `${act} ${words}`, "data-of": `${act} ${annotation.Id}` });
    return element("td", { class: "act" }, element("a", { href: page.link(annotation), ...named("Edit") }, "Edit"), " ",
      element("button", { type: "button", click: () => removed(annotation), ...named("Delete") }, "Delete"));
  }

  function picture() {
    const { annotations, window } = shown;
    // Nothing was answered yet, or the server takes a date that this page cannot read.
    timeline.hidden = ends.hidden = window.start === null || window.end === null;
    if (timeline.hidden) return;
    draw(timeline, annotations, window, page.link);
    ends.replaceChildren(...["start", "end"].map((side) => element("span", {}, format(new Date(window[side]), page.isUtc()))));
  }

  async function removed(annotation) {
    if (await page.remove(annotation)) await load(false);
  }

  return {
    turn: (isUtc) => {
      for (const name of ["StartDate", "EndDate"]) conditions.elements[name].value = turned(conditions.elements[name].value, isUtc);
      table();
    },
    reload: () => load(false),
  };
}
