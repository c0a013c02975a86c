import assert from "node:assert/strict";
import { test } from "node:test";
import { HOP, SYSTEM, inWords, linesOf, marks, pathOf } from "./history.ts";

const HISTORY = {
  period: "1h",
  step: 15,
  at: [0, 15, 30],
  charts: {
    rate: [{ name: "", values: [1, 4, 2] }],
    errors: [{ name: "", values: [0, null, 0] }],
    latency: [{ name: "p50", values: [5, 6, 7] }, { name: "p99", values: [null, null, null] }],
  },
  faults: [],
  outages: [],
  starts: [],
} satisfies Parameters<typeof linesOf>[0];

test("lines have the names of their labels, or of their chart", () => {
  assert.deepEqual(linesOf(HISTORY, SYSTEM[0]!).map((line) => line.name), ["calls", "failures"]);
  assert.deepEqual(linesOf(HISTORY, HOP[1]!).map((line) => line.name), ["p50", "p99"]);
  assert.deepEqual(linesOf(HISTORY, SYSTEM[3]!), []);
});

test("a chart is told in words, without lines that have no value", () => {
  assert.equal(inWords(linesOf(HISTORY, SYSTEM[0]!), SYSTEM[0]!.text), "calls 2/s, at most 4/s; failures 0/s, at most 0/s");
  assert.equal(inWords(linesOf(HISTORY, SYSTEM[1]!), SYSTEM[1]!.text), "p50 7 ms, at most 7 ms");
});

test("less than all is never shown as all", () => {
  const { text } = SYSTEM[2]!;
  assert.deepEqual([text(1), text(0.99999), text(0.5), text(null)], ["100%", "99.99%", "50.00%", "–"]);
});

test("replicas of one service that start together are one mark", () => {
  const starts = [
    { at: 100, service: "orders", pod: "orders-0" },
    { at: 110, service: "inventory", pod: "inventory-1" },
    { at: 130, service: "orders", pod: "orders-1" },
    { at: 900, service: "orders", pod: "orders-1" },
  ];
  assert.deepEqual(marks(starts, 15), [
    { at: 100, text: "2 of orders started" },
    { at: 110, text: "inventory-1 started" },
    { at: 900, text: "orders-1 started" },
  ]);
});

test("a hop is part of the address", () => {
  assert.equal(pathOf("6h", undefined), "/ops/api/history?period=6h");
  assert.equal(pathOf("1d", { from: "orders", to: "inventory" }), "/ops/api/history?period=1d&from=orders&to=inventory");
});
