// Server-Sent Events over fetch, because EventSource cannot send a token.

export interface ServerEvent {
  id: string;
  data: string;
}

// One event may not grow without bounds when its end never comes.
const EVENT_CHARACTERS_LIMIT = 250_000;

/** Cuts a stream of text into events, as the HTML standard's event stream interpretation says. */
export class EventParser {
  #rest = "";
  #data: string[] = [];
  #size = 0;
  #id = "";

  /** Take the next piece of text; return the events that it completes. */
  push(text: string): ServerEvent[] {
    this.#rest += text;
    this.#size += text.length;
    if (this.#size > EVENT_CHARACTERS_LIMIT) throw new RangeError(`an event is longer than ${EVENT_CHARACTERS_LIMIT}`);
    const events: ServerEvent[] = [];
    // A carriage return at the very end may be half of a line's end.
    for (let found = lineEnd(this.#rest); found; found = lineEnd(this.#rest)) {
      const line = this.#rest.slice(0, found.at);
      this.#rest = this.#rest.slice(found.at + found.length);
      const event = this.#line(line);
      if (event) events.push(event);
    }
    return events;
  }

  #line(line: string): ServerEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    if (field === "id" && !value.includes("\0")) this.#id = value;
    return undefined;
  }

  #dispatch(): ServerEvent | undefined {
    this.#size = this.#rest.length;
    if (this.#data.length === 0) return undefined;
    const event = { id: this.#id, data: this.#data.join("\n") };
    this.#data = [];
    return event;
  }
}

function lineEnd(text: string): { at: number; length: number } | undefined {
  const at = text.search(/[\r\n]/);
  if (at < 0 || (text[at] === "\r" && at + 1 === text.length)) return undefined;
  return { at, length: text.startsWith("\r\n", at) ? 2 : 1 };
}

/** The events of a response's body, until it ends; throws when *silenceMs* pass without a byte. */
export async function* events(body: ReadableStream<Uint8Array>, silenceMs: number): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), silenceMs);
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`silent for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
