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

/** The form's values of parameters; of several for one field the first counts. What has no field is left out. */
export function fromParams(params) {
  const values = {};
  for (const name of PLAIN) {
    if (params.get(name)) values[name] = params.get(name);
  }
  for (const name of FIELDS) {
    for (const [, verb] of VERBS) {
      if (params.has(name + verb) && values[`${name}:verb`] === undefined) {
        values[`${name}:verb`] = verb;
        values[name] = params.get(name + verb);
      }
    }
    // `Owner=` asks for the empty value.
    if (values[`${name}:verb`] === "" && values[name] === "") values[`${name}:verb`] = ":Empty";
  }
  return values;
}
