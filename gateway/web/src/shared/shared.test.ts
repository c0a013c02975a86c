import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, sleep } from "./backoff.ts";
import { format, sum, times } from "./money.ts";
import { isExpired, subject } from "./token.ts";

const euros = (units: string, nanos = 0) => ({ currencyCode: "EUR", units, nanos });

test("cents add up without the errors of fractions", () => {
  assert.deepEqual(times(euros("9", 800_000_000), 3), euros("29", 400_000_000));
  assert.deepEqual(sum([euros("0", 100_000_000), euros("0", 200_000_000)]), euros("0", 300_000_000));
});

test("there is no sum of two currencies, nor of nothing", () => {
  assert.equal(sum([euros("1"), { currencyCode: "USD", units: "1" }]), undefined);
  assert.equal(sum([]), undefined);
});

test("an amount is written as the reader's language writes it", () => {
  assert.equal(format(euros("1234", 500_000_000), "en"), "€1,234.50");
  assert.equal(format(euros("1234", 500_000_000), "es").replace(/\s/g, " "), "1234,50 €");
});

test("a wait is drawn between half and all of a limit that doubles up to 8 s", () => {
  assert.deepEqual([0, 1, 2, 3, 50].map((failures) => backoffMs(failures, () => 1)), [500, 1000, 2000, 4000, 8000]);
  assert.equal(backoffMs(0, () => 0), 250);
});

test("an abort ends a wait at once", async () => {
  const controller = new AbortController();
  const wait = sleep(60_000, controller.signal);
  controller.abort();
  await wait;
});

test("a token says whom it names and when its time is over", () => {
  const claims = Buffer.from(JSON.stringify({ sub: "josé", exp: 100 })).toString("base64url");
  const token = `e30.${claims}.x`;
  assert.equal(subject(token), "josé");
  assert.ok(isExpired(token, 100_000));
  assert.ok(!isExpired(token, 99_999));
});

test("what is no token names nobody", () => {
  for (const text of ["", "abc", "a.b.c", `e30.${Buffer.from("{}").toString("base64url")}.x`]) {
    assert.equal(subject(text), undefined, text);
  }
});
