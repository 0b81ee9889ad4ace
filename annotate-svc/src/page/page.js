// The page of annotations: chooses the view and holds what both share. No library, nothing from elsewhere.

import * as api from "./api.js";
import { element } from "./element.js";
import * as form from "./form.js";
import * as list from "./list.js";

const main = document.getElementById("main");
const error = document.getElementById("error");
const notice = document.getElementById("notice");
const zone = document.getElementById("zone");
const base = document.body.dataset.base;
const ZONE = "annotate-zone";

let view = null;
let isUtc = stored() !== "local";

/** The zone that was chosen last; a browser may keep nothing, and says so by throwing. */
function stored() {
  try {
    return localStorage.getItem(ZONE);
  } catch {
    return null;
  }
}

const page = {
  /** Path of the page itself. */
  base,
  /** Where an annotation is edited. */
  link: ({ Id }) => `${base}?guid=${encodeURIComponent(Id)}`,
  isUtc: () => isUtc,
  turnZone,
  /** Does something; a failure is shown, and answered with false. */
  async attempt(action) {
    error.hidden = true;
    try {
      await action();
      return true;
    } catch (cause) {
      const isStale = cause.status === 412;
      error.textContent = isStale ? "Somebody has changed this annotation meanwhile: reload the page to see how." : cause.message;
      error.hidden = false;
      return false;
    }
  },
  /** Shows what was done, and a way back when there is one; nothing takes it away. */
  notice(...parts) {
    notice.replaceChildren(...parts);
    notice.hidden = parts.length === 0;
  },
  /** Deletes an annotation once that is confirmed; tells whether. */
  async remove(annotation) {
    if (!(await confirmed(annotation.Message || annotation.Id))) return false;
    if (!(await page.attempt(() => api.remove(annotation.Id)))) return false;
    const undo = element("button", { type: "button", click: async () => {
      undo.disabled = true;
      undo.disabled = await page.attempt(async () => {
        await api.restore(annotation.Id);
        const open = element("a", { href: page.link(annotation) }, "Open");
        page.notice("Restored. ", open);
        open.focus();
        await view?.reload?.();
      });
    } }, "Undo");
    page.notice("Deleted. ", undo);
    undo.focus();
    return true;
  },
};

function confirmed(name) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = `Delete “${name.slice(0, 200)}”?`;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function turnZone(event) {
  event.preventDefault();
  isUtc = !isUtc;
  try {
    localStorage.setItem(ZONE, isUtc ? "utc" : "local");
  } catch {
    // Chosen for this page alone.
  }
  label();
  view?.turn(isUtc);
}

function label() {
  zone.textContent = isUtc ? "UTC" : "Local time";
}

async function start() {
  const isList = location.pathname.replace(/\/$/, "") === `${base}list`;
  for (const link of document.querySelectorAll("nav a")) {
    if ((link.pathname === `${base}list`) === isList) link.setAttribute("aria-current", "page");
  }
  document.title = isList ? "Annotations: list" : "Annotations";
  zone.addEventListener("click", turnZone);
  // Shown again as it was left, a list may be out of date.
  addEventListener("pageshow", (event) => event.persisted && view?.reload?.());
  label();
  await page.attempt(async () => {
    view = await (isList ? list : form).show(main, page);
  });
}

await start();
