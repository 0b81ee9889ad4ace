import assert from "node:assert/strict";
import test from "node:test";
import { colour, pack } from "../timeline.js";

// 1000 ms are drawn 100 pixels wide.
const WINDOW = { start: 1000, end: 2000 };
const packed = (...intervals) => pack(intervals.map(([start, end]) => ({ start, end })), WINDOW, 100)
  .map(({ left, width, row }) => [left, width, row]);

test("a box moves up when there is room", () => {
  assert.deepEqual(packed([1000, 1500], [1200, 1300], [1500, 1900]), [[0, 50, 0], [20, 10, 1], [50, 40, 0]]);
});

test("no box is narrower than 8 pixels, and none leaves the window", () => {
  assert.deepEqual(packed([1500, 1500], [1550, 1550]), [[50, 8, 0], [55, 8, 1]]);
  assert.deepEqual(packed([0, 9000]), [[0, 100, 0]]);
  assert.deepEqual(packed([2000, 2000]), [[92, 8, 0]]);
});

test("boxes of one row never overlap, whatever their order", () => {
  let seed = 7;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const intervals = Array.from({ length: 300 }, () => {
    const start = 1000 + random(1000);
    return { start, end: start + random(300) };
  });
  const boxes = pack(intervals, WINDOW, 4000);
  for (const [at, box] of boxes.entries()) {
    for (const other of boxes.slice(at + 1).filter((other) => other.row === box.row)) {
      assert.ok(box.left + box.width <= other.left || other.left + other.width <= box.left, JSON.stringify([box, other]));
    }
  }
});

test("a window turned around or without length is drawn all the same", () => {
  assert.deepEqual(pack([{ start: 1000, end: 2000 }], { start: 2000, end: 1000 }, 100), [{ left: 0, width: 8, row: 0 }]);
});

test("an id always has the same colour", () => {
  assert.equal(colour("78a59f94-76ed-42d2-9ed0-9c7b282c4e83"), colour("78a59f94-76ed-42d2-9ed0-9c7b282c4e83"));
  assert.notEqual(colour("a"), colour("b"));
});

test("white letters can be read on every colour (WCAG 2, contrast 4.5)", () => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const seen = new Set();
  for (let id = 0; id < 5000; id++) {
    const [hue, saturation, light] = colour(String(id)).match(/\d+/g).map(Number);
    seen.add(hue);
    const part = (n) => {
      const k = (n + hue / 30) % 12;
      const [s, l] = [saturation / 100, light / 100];
      return channel(l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
    };
    const luminance = 0.2126 * part(0) + 0.7152 * part(8) + 0.0722 * part(4);
    assert.ok(1.05 / (luminance + 0.05) >= 4.5, `hue ${hue}`);
  }
  assert.ok(seen.size > 300);
});
