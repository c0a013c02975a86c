import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { curl, type Document, type Endpoint, endpoints, example, fill } from "./openapi.ts";

const endpoint: Endpoint = {
  verb: "POST",
  path: "/v1/orders/{order}:cancel",
  operation: {
    operationId: "CancelOrder",
    tags: ["OrderService"],
    summary: "Cancels.",
    parameters: [
      { name: "order", in: "path", required: true, schema: { type: "string" } },
      { name: "fields", in: "query", required: false, schema: { type: "string" } },
      { name: "Idempotency-Key", in: "header", required: false, schema: { type: "string" } },
    ],
    responses: {},
  },
};

const document: Document = {
  info: { title: "", description: "" },
  tags: [],
  paths: { [endpoint.path]: { post: endpoint.operation } },
  components: {
    schemas: {
      Order: { type: "object", properties: { name: { readOnly: true }, lines: { type: "array", items: { $ref: "#/x/Line" } } } },
      Line: { type: "object", properties: { quantity: { type: "integer", minimum: 1 } } },
    },
    responses: {},
  },
};

test("an operation is found by its tag", () => {
  assert.deepEqual(endpoints(document, "OrderService"), [endpoint]);
  assert.deepEqual(endpoints(document, "Other"), []);
});

test("an example has what a client may send, and nothing that only comes back", () => {
  assert.deepEqual(example(document, { $ref: "#/x/Order" }), { lines: [{ quantity: 1 }] });
});

test("parameters go where they belong, and empty ones nowhere", () => {
  const filled = fill(endpoint, { order: "a/b", fields: "", "Idempotency-Key": "k" });
  assert.deepEqual(filled, { url: "/v1/orders/a%2Fb:cancel", headers: { "Idempotency-Key": "k" } });
  assert.equal(fill(endpoint, { order: "a", fields: "name" }).url, "/v1/orders/a:cancel?fields=name");
});

test("a quote in a value does not end the shell's", () => {
  const line = curl("http://a", "POST", { url: "/x", headers: { b: "it's" } }, "{}");
  assert.equal(line, `curl -X POST 'http://a/x' -H 'b: it'\\''s' -d '{}'`);
});

test("a shell that runs the line sends the token of $TOKEN, which the line does not have", () => {
  const line = curl("http://a", "POST", { url: "/x?y=$z", headers: { authorization: "Bearer secret", b: "$c" } }, '{"d":"$e"}');
  assert.ok(!line.includes("secret"));
  const words = execFileSync("sh", ["-c", line.replace("curl", "printf '%s\\n'")], { env: { TOKEN: "abc" }, encoding: "utf8" });
  const sent = ["-X", "POST", "http://a/x?y=$z", "-H", "authorization: Bearer abc", "-H", "b: $c", "-d", '{"d":"$e"}'];
  assert.deepEqual(words.trimEnd().split("\n"), sent);
});
