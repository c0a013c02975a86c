import assert from "node:assert/strict";
import { test } from "node:test";
import { about, type Breaker, between, failing, knows, worst } from "./board.ts";
import { duration, ms, number, share } from "./format.ts";

const breaker = (pod: string, state: Breaker["state"]): Breaker => ({ from: "orders", pod, to: "inventory", subset: "", state });

test("one sidecar's open breaker is what an operator sees of all of them", () => {
  const breakers = [breaker("orders-0", "closed"), breaker("orders-1", "open")];
  assert.equal(between(breakers, "orders", "inventory"), "open");
  assert.equal(between([...breakers, breaker("orders-2", "empty")], "orders", "inventory"), "open");
  assert.equal(worst(["closed", "empty"]), "empty");
  assert.equal(worst(["closed", "partly"]), "partly");
});

test("a subset's open breaker is what an operator sees of the service", () => {
  const edge = { from: "edge", pod: "edge-0", to: "orders" };
  const breakers: Breaker[] = [
    { ...edge, subset: "", state: "closed" },
    { ...edge, subset: "calls", state: "open" },
  ];
  for (const each of [breakers, breakers.toReversed()]) assert.equal(between(each, "edge", "orders"), "open");
});

test("no calls have no share of failures", () => {
  assert.equal(failing({ from: "a", to: "b", rate: 0 }), undefined);
  assert.equal(failing({ from: "a", to: "b", rate: 4, errors: 1 }), 0.25);
});

test("numbers are short, and what is not known is not zero", () => {
  assert.deepEqual([0, 0.4, 3.14, 42, 12_345, null].map(number), ["0", "0.40", "3.1", "42", "12k", "–"]);
  assert.deepEqual([0, 0.004, 0.25].map(share), ["0%", "0.4%", "25%"]);
  assert.deepEqual([4.2, 2_500].map(ms), ["4.2 ms", "2.5 s"]);
  assert.deepEqual([4, 180, 7_300].map(duration), ["4 s", "3 min", "2 h"]);
});

test("an alert names its pod, else its service, and what else it is about", () => {
  const alert = (labels: Record<string, string>) => about({ name: "A", severity: "page", since: 0, labels });
  assert.equal(alert({ service: "orders", pod: "orders-1", job: "envoys" }), "orders-1, envoys");
  assert.equal(alert({ sli: "rpc", service: "orders" }), "orders, rpc");
  assert.equal(alert({ host: "inventory:50051" }), "inventory:50051");
  assert.equal(alert({}), "");
});

test("a backlog that could not ask Kafka knows nothing of Kafka, and the rest", () => {
  const backlog = { states: [], outboxRows: "5", refusedRows: "0", topics: [], deadLetters: "0", unknown: ["Kafka: it is away"] };
  assert.equal(knows(backlog, "Kafka"), undefined);
  assert.equal(knows(backlog, "PostgreSQL"), backlog);
  assert.equal(knows(undefined, "Kafka"), undefined);
});
