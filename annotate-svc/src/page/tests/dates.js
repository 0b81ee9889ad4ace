import assert from "node:assert/strict";
import test from "node:test";
import { format, instant, sent, turned } from "../dates.js";

// India has no summer time and half an hour in its offset; Newfoundland's is negative and changes.
const NOW = new Date("2016-02-24T22:08:41Z");

function within(zone, check) {
  const own = process.env.TZ;
  process.env.TZ = zone;
  try {
    check();
  } finally {
    process.env.TZ = own ?? "";
  }
}

test("a date is written to the second, in UTC or with the offset of its own day", () => {
  assert.equal(format(new Date("2016-02-24T22:08:41.999Z"), true), "2016-02-24T22:08:41Z");
  within("Asia/Kolkata", () => assert.equal(format(NOW, false), "2016-02-25T03:38:41+05:30"));
  within("America/St_Johns", () => {
    assert.equal(format(NOW, false), "2016-02-24T18:38:41-03:30");
    assert.equal(format(new Date("2016-07-24T22:08:41Z"), false), "2016-07-24T19:38:41-02:30");
  });
});

test("an offset with seconds is rounded, and a year of five digits is written in UTC", () => {
  // Monrovia was 44 minutes and 30 seconds behind until 1972.
  within("Africa/Monrovia", () => {
    const text = format(new Date(0), false);
    assert.match(text, /^1969-12-31T23:1[56]:00-00:4[45]$/);
    assert.equal(instant(text, NOW).getTime(), 0);
  });
  within("Europe/Berlin", () => assert.equal(format(new Date("9999-12-31T23:59:59Z"), false), "9999-12-31T23:59:59Z"));
});

test("now, a time before now, seconds and RFC 3339 are instants", () => {
  const cases = {
    now: "2016-02-24T22:08:41.000Z", " -2h ": "2016-02-24T20:08:41.000Z", "-90m": "2016-02-24T20:38:41.000Z",
    "-7d": "2016-02-17T22:08:41.000Z", 1456369721: "2016-02-25T03:08:41.000Z", 253402300799: "9999-12-31T23:59:59.000Z", "-1": "1969-12-31T23:59:59.000Z",
    "2016-02-24T22:08:41-05:00": "2016-02-25T03:08:41.000Z", "2016-02-24T22:08:41.25Z": "2016-02-24T22:08:41.250Z",
  };
  for (const [text, iso] of Object.entries(cases)) assert.equal(instant(text, NOW)?.toISOString(), iso, text);
  for (const text of ["", "yesterday", "-2y", "2016-02-24", "2016-02-24T22:08:41", "2016-13-01T00:00:00Z", "1e3"]) {
    assert.equal(instant(text, NOW), null, text);
  }
});

test("what is RFC 3339 is sent with its own offset, and what is no date for the server to refuse", () => {
  assert.equal(sent("2016-02-24T22:08:41-05:00", NOW, true), "2016-02-24T22:08:41-05:00");
  assert.equal(sent("-1h", NOW, true), "2016-02-24T21:08:41Z");
  assert.equal(sent("1456369721", NOW, true), "2016-02-25T03:08:41Z");
  assert.equal(sent("2016-02-a26T10:09:13-05:00", NOW, true), "2016-02-a26T10:09:13-05:00");
  assert.equal(sent("", NOW, true), "");
});

test("turning the zone keeps the instant, and what is relative", () => {
  assert.equal(turned("2016-02-24T22:08:41-05:00", true), "2016-02-25T03:08:41Z");
  within("Asia/Kolkata", () => assert.equal(turned("2016-02-24T22:08:41Z", false), "2016-02-25T03:38:41+05:30"));
  for (const text of ["now", "-2h", "nonsense", ""]) assert.equal(turned(text, false), text);
});
