import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../api/problem.ts";
import type { Order } from "../api/types.ts";
import { accepted, begin, failed, hurried, isOpen, KEY_LIFETIME_MS, repeated, restored, shortages, TRY_ENDS_MS } from "./intent.ts";

const lines = [{ product: "products/tea-kettle", quantity: 2 }];
const intent = begin("key-1", "ana", lines, 1_000);
const noAnswer = new Problem(0, undefined);
const half = () => 0.5;

test("an intent keeps its key, its customer and its lines whatever happens to it", () => {
  let now = intent;
  for (const problem of [noAnswer, new Problem(503, undefined), new Problem(429, undefined), new Problem(504, undefined)]) {
    now = failed(now, problem, 2_000, half);
    assert.deepEqual([now.key, now.customer, now.lines], ["key-1", "ana", lines]);
    assert.ok(isOpen(now));
  }
  assert.equal(now.failures, 4);
});

test("without an answer the outcome is unknown, not failed", () => {
  assert.equal(failed(intent, noAnswer, 2_000).phase, "unknown");
  assert.equal(failed(intent, new Problem(504, undefined), 2_000).phase, "unknown");
});

test("an order turned away at the door is known not to be placed", () => {
  assert.equal(failed(intent, new Problem(429, undefined), 2_000).phase, "busy");
});

test("what may have arrived once stays unknown when the next try is turned away", () => {
  const unknown = failed(intent, noAnswer, 2_000);
  assert.equal(failed(unknown, new Problem(429, undefined), 3_000).phase, "unknown");
});

test("a refusal ends the intent and keeps what was missing", () => {
  const violations = [{ type: "OUT_OF_STOCK", subject: "products/tea-kettle", description: "2 wanted, 1 available" }];
  const details = [
    { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "OUT_OF_STOCK" },
    { "@type": "type.googleapis.com/google.rpc.PreconditionFailure", violations },
  ];
  const now = failed(intent, new Problem(400, { code: 9, message: "not enough stock", details }), 2_000);
  assert.equal(now.phase, "refused");
  assert.deepEqual(now.refusal, { reason: "OUT_OF_STOCK", message: "not enough stock", violations });
  assert.ok(!isOpen(now));
});

test("a refusal beside a try without an answer is the last word only when that try is over", () => {
  const out = new Problem(400, { code: 9, message: "not enough stock", details: [] });
  const unknown = failed(intent, noAnswer, 2_000, half);
  const asking = failed(unknown, out, 3_000, half);
  assert.equal(asking.phase, "unknown");
  assert.ok(asking.nextTryMs > 3_000 && asking.nextTryMs <= 2_000 + TRY_ENDS_MS);
  assert.equal(failed(asking, out, 2_000 + TRY_ENDS_MS, half).phase, "refused");
  assert.equal(failed(intent, out, 3_000).phase, "refused");
  assert.equal(failed(failed(intent, new Problem(429, undefined), 2_000), out, 3_000).phase, "refused");
});

test("a refusal tells how many are left of each product that it is about", () => {
  const violations = [
    { type: "OUT_OF_STOCK", subject: "products/tea-kettle", description: "2 wanted, 1 available" },
    { type: "UNKNOWN_PRODUCT", subject: "products/gone", description: "no such product" },
    { type: "OTHER", subject: "orders/1", description: "9 available" },
  ];
  const details = [{ "@type": "type.googleapis.com/google.rpc.PreconditionFailure", violations }];
  assert.deepEqual(shortages(failed(intent, new Problem(400, { code: 9, message: "", details }), 2_000)), [
    { product: "products/tea-kettle", left: 1 },
    { product: "products/gone", left: 0 },
  ]);
  assert.deepEqual(shortages(intent), []);
});

test("an earlier try still being worked on is waited for, not taken as a refusal", () => {
  const details = [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "REQUEST_IN_PROGRESS" }];
  assert.ok(isOpen(failed(intent, new Problem(409, { code: 10, message: "in progress", details }), 2_000)));
});

test("waits grow, stay below a limit, and are never shorter than the shop asked for", () => {
  let now = intent;
  const waits = Array.from({ length: 12 }, () => {
    now = failed(now, noAnswer, 10_000, half);
    return now.nextTryMs - 10_000;
  });
  assert.deepEqual(waits.slice(0, 3), [375, 750, 1500]);
  assert.ok(Math.max(...waits) <= 8_000);
  assert.equal(failed(intent, new Problem(503, undefined, 30_000), 10_000, half).nextTryMs, 40_000);
});

test("after a reload the try that was under way has an unknown end and is asked for at once", () => {
  const now = restored(intent, 5_000);
  assert.deepEqual([now.phase, now.nextTryMs, now.key], ["unknown", 5_000, "key-1"]);
});

test("a refusal soon after a reload is not the end: an earlier try may still place the order", () => {
  const soldOut = new Problem(400, undefined);
  const now = failed(restored(intent, 5_000), soldOut, 6_000, half);
  assert.equal(now.phase, "unknown");
  assert.ok(now.nextTryMs <= 5_000 + TRY_ENDS_MS);
  assert.equal(failed(now, soldOut, 5_000 + TRY_ENDS_MS, half).phase, "refused");
});

test("a key too old for the shop to remember is never repeated", () => {
  const now = restored(intent, 1_000 + KEY_LIFETIME_MS + 1);
  assert.equal(now.phase, "expired");
  assert.ok(!isOpen(now));
});

test("an answer is not forgotten by a reload", () => {
  const now = accepted(intent, { name: "orders/1" } as Order);
  assert.deepEqual(restored(now, 9_000), now);
  assert.equal(now.order, "orders/1");
});

test("asking now makes the next try due", () => {
  assert.equal(hurried(failed(intent, noAnswer, 2_000), 2_001).nextTryMs, 2_001);
});

const refusedToken = new Problem(401, undefined);

test("a refused token is a definite no to this try: nobody asks again, and the same key is there after signing in", () => {
  const now = failed(intent, refusedToken, 2_000);
  assert.equal(now.phase, "unsigned");
  assert.ok(!isOpen(now));
  assert.deepEqual(restored(now, 9_000), now);
  const again = repeated(now, 3_000);
  assert.deepEqual([again.phase, again.key, again.nextTryMs], ["sending", "key-1", 3_000]);
});

test("a refused token says nothing of an earlier try that got no answer", () => {
  const now = failed(failed(intent, noAnswer, 2_000), refusedToken, 3_000);
  assert.deepEqual([now.phase, now.unclear], ["unsigned", true]);
  assert.equal(repeated(now, 4_000).phase, "unknown");
});

test("a key too old for the shop to remember is not repeated after signing in either", () => {
  const now = failed(intent, refusedToken, 2_000);
  assert.equal(repeated(now, 1_000 + KEY_LIFETIME_MS + 1).phase, "expired");
});
