// What the list asks for: the fields of its form, and the query of the API, which is also the page's own address.

/** Fields with a condition of their own. */
export const FIELDS = ["Source", "Host", "CreationUser", "Owner", "Category"];

/** What can be asked of such a field: the rest of the parameter's name. */
export const VERBS = [["is", ""], ["is not", ":Is:Not"], ["is empty", ":Empty"], ["is not empty", ":Empty:Not"]];

/** Fields that are sent as they are. */
const PLAIN = ["StartDate", "EndDate", "Url", "Message", "filter"];

/** The form's values as parameters. `Owner` without a value asks for nothing, but for `is empty`. */
export function toParams(values) {
  const params = new URLSearchParams();
  for (const name of PLAIN) {
    if (values[name]) params.set(name, values[name]);
  }
  for (const name of FIELDS) {
    const verb = values[`${name}:verb`] ?? "";
    if (verb.startsWith(":Empty")) params.set(name + verb, "");
    else if (values[name]) params.set(name + verb, values[name]);
  }
  return params;
}

/** The verb of a parameter's name: `Owner::Not` negates by its third part, whatever that is; null when there is none. */
function verbOf(words, value) {
  const [verb, flag] = words;
  const isNot = flag !== undefined;
  // `Owner=` and `Owner:Is=` ask for the empty value.
  if (verb === "Empty" || (value === "" && (verb === "" || verb === "Is"))) return isNot ? ":Empty:Not" : ":Empty";
  return verb === "" || verb === "Is" ? (isNot ? ":Is:Not" : "") : null;
}

/** The form's values of parameters; of several for one field the first counts. What has no field is left out. */
export function fromParams(params) {
  const values = {};
  for (const name of PLAIN) {
    if (params.get(name)) values[name] = params.get(name);
  }
  for (const [parameter, value] of params) {
    const [name, verb = "", flag] = parameter.split(":");
    const chosen = FIELDS.includes(name) ? verbOf([verb, flag], value) : null;
    if (chosen === null || values[`${name}:verb`] !== undefined) continue;
    values[`${name}:verb`] = chosen;
    values[name] = value;
  }
  return values;
}
