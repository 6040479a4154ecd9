import { expect, test } from "vitest";
import { window } from "../src/window.ts";

/**
 * A path that brings so many bytes a millisecond and takes so long one way, and a sender that always has
 * something to send. It tells what share of the path was used and how long bytes waited in it, in
 * milliseconds, over the seconds from the third on.
 */
const link = (rate: number, oneWay: number, seconds = 30, changed = rate) => {
  const w = window();
  const offset = 1e6; // between the two clocks
  const acks: { at: number; n: number; came: number }[] = [];
  let freeAt = 0; // when the path has brought all that was sent
  let delivered = 0;
  let began = 0;
  let capacity = 0;
  const waits: number[] = [];
  for (let now = 1; now < seconds * 1000; now += 0.25) {
    const r = now < seconds * 500 ? rate : changed;
    for (let a = acks[0]; a && a.at <= now; a = acks[0]) {
      acks.shift();
      w.ack(a.n, a.came, now);
    }
    while (w.room() > 0) {
      const n = Math.min(w.portion(), 61_440);
      w.sent += n;
      freeAt = Math.max(freeAt, now) + n / r;
      if (w.due()) {
        w.mark(now);
        acks.push({ at: freeAt + 2 * oneWay, n: w.sent, came: freeAt + oneWay + offset });
      }
    }
    if (now > 3000) {
      if (!began) {
        began = now;
        delivered = w.acked;
      }
      capacity += r / 4;
      waits.push(Math.max(0, freeAt - now));
    }
  }
  waits.sort((a, b) => a - b);
  return { used: (w.acked - delivered) / capacity, wait: waits[Math.floor(waits.length * 0.95)] as number };
};

const Mbit = 125; // bytes a millisecond

test.each([
  ["20 Mbit/s, 20 ms", 20 * Mbit, 10, 0.93, 40],
  ["2 Mbit/s, 40 ms", 2 * Mbit, 20, 0.93, 150],
  ["100 Mbit/s, 80 ms", 100 * Mbit, 40, 0.9, 60],
  ["200 Mbit/s, 10 ms", 200 * Mbit, 5, 0.9, 20],
  ["1 Gbit/s, 2 ms", 1000 * Mbit, 1, 0.85, 10],
])("a path of %s is full, and little waits in it", (_, rate, oneWay, used, wait) => {
  const got = link(rate, oneWay);
  expect(got.used).toBeGreaterThan(used);
  expect(got.wait).toBeLessThan(wait);
});

test("the window follows a path that gets slower, and one that gets faster", () => {
  const slower = link(100 * Mbit, 10, 60, 20 * Mbit);
  expect(slower.used).toBeGreaterThan(0.85);
  expect(slower.wait).toBeLessThan(60);
  const faster = link(20 * Mbit, 10, 60, 100 * Mbit);
  expect(faster.used).toBeGreaterThan(0.8);
});

test("a path that brings nothing gets no more than a window", () => {
  const w = window();
  let n = 0;
  while (w.room() > 0) w.sent += Math.min(w.portion(), 61_440);
  n = w.sent;
  expect(n).toBeLessThanOrEqual(64 * 1024 + 61_440);
  expect(w.due()).toBe(true);
});

test("a program that is slow for a while does not shrink the window for the path", () => {
  const w = window();
  let now = 1;
  const round = (bytes: number, took: number): void => {
    w.sent += bytes;
    w.mark(now);
    now += took;
    w.ack(w.sent, now, now);
  };
  for (let i = 0; i < 20; i++) round(100_000, 20);
  const wide = w.room();
  for (let i = 0; i < 20; i++) {
    w.starve();
    round(1000, 20);
  }
  expect(w.room()).toBeGreaterThan(wide / 2);
});
