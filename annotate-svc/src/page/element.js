/**
 * An element with properties, listeners and children. Texts become text nodes, never markup, so that nothing that
 * somebody has written into an annotation can act in the page.
 */
export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (typeof value === "boolean") node.toggleAttribute(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A text field with its name, and what it suggests when `suggest` is given. */
export function field(name, properties = {}, suggest = null) {
  const input = element("input", { id: name, name, autocomplete: "off", spellcheck: "false", ...properties });
  if (suggest === null) return [input];
  const list = element("datalist", { id: `${name}-values` });
  input.setAttribute("list", list.id);
  // Asked for once somebody is about to write, not with every page.
  input.addEventListener("focus", async () => {
    const values = await suggest().catch(() => []);
    list.replaceChildren(...values.map((value) => element("option", { value })));
  }, { once: true });
  return [input, list];
}
