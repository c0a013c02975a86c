import assert from "node:assert/strict";
import { test } from "node:test";
import { EventParser, events } from "./sse.ts";

function parse(...pieces: string[]): string[] {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece)).map((event) => event.data);
}

test("an event ends with an empty line, however the bytes are cut", () => {
  const stream = 'id: 2\nevent: order\ndata: {"order":{}}\n\ndata: {"heartbeat":{}}\n\n';
  const whole = parse(stream);
  assert.deepEqual(whole, ['{"order":{}}', '{"heartbeat":{}}']);
  assert.deepEqual(parse(...stream), whole);
});

test("all three line ends are line ends", () => {
  assert.deepEqual(parse("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), ["a", "b", "c"]);
  assert.deepEqual(parse("data: a\r", "\n\r", "\n"), ["a"]);
});

test("data lines are joined, comments and unknown fields are not data", () => {
  assert.deepEqual(parse(": hello\nretry: 10\ndata: a\ndata:b\n\n: only a comment\n\n"), ["a\nb"]);
});

test("an id stays until another comes", () => {
  const found = new EventParser().push("id: 7\ndata: a\n\ndata: b\n\n");
  assert.deepEqual(found, [
    { id: "7", data: "a" },
    { id: "7", data: "b" },
  ]);
});

test("an event without an end is not an event", () => {
  assert.deepEqual(parse("data: half"), []);
});

test("an event without bounds is refused", () => {
  const parser = new EventParser();
  assert.throws(() => {
    for (let piece = 0; piece < 2_000; piece++) parser.push("x".repeat(1_000));
  }, RangeError);
});

test("letters cut in the middle come out whole", async () => {
  const bytes = new TextEncoder().encode("data: señal\n\n");
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const found = [];
  for await (const event of events(body, 1_000)) found.push(event.data);
  assert.deepEqual(found, ["señal"]);
});

test("a line that has fallen silent is given up", async () => {
  const silent = new ReadableStream<Uint8Array>();
  await assert.rejects(async () => {
    for await (const event of events(silent, 20)) assert.fail(event.data);
  }, /silent for 20 ms/);
});
