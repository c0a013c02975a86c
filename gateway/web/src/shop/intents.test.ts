import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../api/problem.ts";
import { begin, failed, type Intent } from "./intent.ts";
import { MAX_CUSTOMERS, type Intents, waiting, withIntent, withoutIntent } from "./intents.ts";

const lines = [{ product: "products/tea-kettle", quantity: 1 }];
const of = (customer: string, createdMs = 1_000) => begin(`key-of-${customer}`, customer, lines, createdMs);

test("what one customer waits for is not in the way of the next one", () => {
  const ana = failed(of("ana"), new Problem(0, undefined), 2_000);
  const both = withIntent(withIntent({}, ana), of("ben"));
  assert.equal(both["ana"]?.key, "key-of-ana");
  assert.equal(both["ben"]?.key, "key-of-ben");
  assert.deepEqual(waiting(both, "ben").map((each) => each.customer), ["ana"]);
  assert.deepEqual(Object.keys(withoutIntent(both, "ana")), ["ben"]);
});

test("an attempt whose token was refused waits for its customer too", () => {
  const ana = failed(of("ana"), new Problem(401, undefined), 2_000);
  assert.deepEqual(waiting({ ana }, ""), [ana]);
});

test("a device does not keep intents without end, and keeps those without an answer the longest", () => {
  let all: Intents = withIntent({}, of("first", 1));
  for (let index = 0; index < 3 * MAX_CUSTOMERS; index++) {
    const answered: Intent = { ...of(`customer-${index}`, 10 + index), phase: "accepted" };
    all = withIntent(all, answered);
  }
  assert.equal(Object.keys(all).length, MAX_CUSTOMERS);
  assert.ok(all["first"]);
});
