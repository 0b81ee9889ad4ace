// Annotations as boxes in stacked rows, as Bosun drew them under its charts.

import { element } from "./element.js";

/** No box is narrower, so that it can be seen and hit. */
const NARROWEST = 8;

/** Height of a row, in pixels. */
const ROW = 22;

/** A box as wide as this shows its words, too. */
const READABLE = 40;

/**
 * Where each interval is drawn in a window `width` pixels wide: `left`, `width` and `row` in the order of `intervals`.
 * A box takes the first row that has room. Times are milliseconds.
 */
export function pack(intervals, window, width) {
  const scale = width / Math.max(window.end - window.start, 1);
  const place = (time) => Math.min(Math.max((time - window.start) * scale, 0), width);
  const boxes = intervals.map(({ start, end }) => {
    const left = Math.min(place(start), Math.max(width - NARROWEST, 0));
    return { left, width: Math.max(place(end) - left, NARROWEST), row: 0 };
  });
  const rights = [];
  for (const box of [...boxes].sort((a, b) => a.left - b.left)) {
    const free = rights.findIndex((right) => right <= box.left);
    box.row = free === -1 ? rights.length : free;
    rights[box.row] = box.left + box.width;
  }
  return boxes;
}

/** A colour for an id, always the same, dark enough for white letters (a contrast of 4.5 in every hue). */
export function colour(id) {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  return `hsl(${hash} 60% 29%)`;
}

/**
 * Draws annotations into `place`; a box leads to `link(annotation)`. The keyboard passes the boxes over: the table has the
 * same links.
 */
export function draw(place, annotations, window, link) {
  const intervals = annotations.map(({ StartDate, EndDate }) => ({ start: Date.parse(StartDate), end: Date.parse(EndDate) }));
  const boxes = pack(intervals, window, place.clientWidth);
  const sheet = element("div", {}, annotations.map((annotation, at) => {
    const { left, width, row } = boxes[at];
    const { StartDate, EndDate, Owner, Host, Category, Message } = annotation;
    const words = [Message, Category, Owner, Host].find((text) => text !== "") ?? "";
    const box = element("a", { href: link(annotation), tabindex: "-1", title: `${StartDate} – ${EndDate}\n${words}`.slice(0, 500) },
      width < READABLE ? "" : words.slice(0, 80));
    box.setAttribute("aria-label", words.slice(0, 80) || "annotation");
    Object.assign(box.style, { left: `${left}px`, width: `${width}px`, top: `${row * ROW + 3}px`, background: colour(annotation.Id) });
    return box;
  }));
  // All rows at once, or a look at some of them.
  sheet.style.height = `${boxes.reduce((rows, box) => Math.max(rows, box.row + 1), 1) * ROW + 4}px`;
  place.replaceChildren(sheet);
}
