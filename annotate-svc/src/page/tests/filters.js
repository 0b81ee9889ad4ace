import assert from "node:assert/strict";
import test from "node:test";
import { fromParams, toParams } from "../filters.js";

const query = (values) => decodeURIComponent(toParams(values).toString().replaceAll("+", "%20"));
const values = (text) => fromParams(new URLSearchParams(text));

test("conditions have the names of the API's query", () => {
  assert.equal(query({ Owner: "sre", "Owner:verb": "" }), "Owner=sre");
  assert.equal(query({ Owner: "sre", "Owner:verb": ":Is:Not" }), "Owner:Is:Not=sre");
  assert.equal(query({ Host: "left over", "Host:verb": ":Empty" }), "Host:Empty=");
  assert.equal(query({ Host: "", "Host:verb": ":Empty:Not" }), "Host:Empty:Not=");
  assert.equal(query({ StartDate: "-1h", Message: "two words", filter: "owner:a AND !user:empty", Url: "" }),
    "StartDate=-1h&Message=two words&filter=owner:a AND !user:empty");
});

test("a field without a value asks for nothing", () => {
  assert.equal(query({ Owner: "", "Owner:verb": "", Category: "", "Category:verb": ":Is:Not" }), "");
});

test("every spelling of a condition that the API takes fills the form", () => {
  const cases = {
    "Owner:Is=sre": ["", "sre"], "Owner::Not=sre": [":Is:Not", "sre"], "Owner:Is:Not=": [":Empty:Not", ""],
    "Owner:Empty:Empty=": [":Empty:Not", ""], "Owner::Empty=sre": [":Is:Not", "sre"], "Owner:Empty=x": [":Empty", "x"],
  };
  for (const [text, [verb, value]] of Object.entries(cases)) {
    assert.deepEqual(values(text), { Owner: value, "Owner:verb": verb }, text);
  }
  assert.deepEqual(values("Owner:Like=x"), {});
});

test("an address fills the form as it was", () => {
  const form = { StartDate: "-1h", EndDate: "now", Owner: "a&b", "Owner:verb": ":Is:Not", "Host:verb": ":Empty", Host: "" };
  assert.deepEqual(values(toParams(form).toString()), form);
  assert.deepEqual(values("Owner="), { Owner: "", "Owner:verb": ":Empty" });
  assert.deepEqual(values("unknown=1&Owner=first&Owner:Is:Not=second"), { Owner: "first", "Owner:verb": "" });
});
