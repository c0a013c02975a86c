import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem, retryAfterMs } from "./problem.ts";

test("faults pass, refusals do not", () => {
  for (const status of [0, 408, 429, 500, 502, 503, 504]) assert.ok(new Problem(status, undefined).passing, String(status));
  for (const status of [400, 401, 403, 404, 409, 413]) assert.ok(!new Problem(status, undefined).passing, String(status));
});

test("only a call that was turned away at the door certainly had no effect", () => {
  assert.ok(new Problem(503, undefined).unclear);
  assert.ok(!new Problem(429, undefined).unclear);
});

test("the wait comes from the header or else from the details", () => {
  const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.5s" }];
  assert.equal(new Problem(503, { code: 14, message: "", details }).retryAfterMs, 1_500);
  assert.equal(new Problem(503, { code: 14, message: "", details }, 4_000).retryAfterMs, 4_000);
  assert.equal(new Problem(503, undefined).retryAfterMs, 0);
});

test("a Retry-After that is no number of seconds is no wait", () => {
  assert.equal(retryAfterMs("2"), 2_000);
  for (const header of [null, "", "Wed, 21 Oct 2026 07:28:00 GMT", "-1"]) assert.equal(retryAfterMs(header), 0);
});
