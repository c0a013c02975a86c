import { send } from "./http.ts";
import { Problem } from "./problem.ts";
import { events } from "./sse.ts";
import type { Order, WatchEvent } from "./types.ts";
import { FINAL } from "./types.ts";
import { backoffMs, sleep } from "../shared/backoff.ts";

// Heartbeats come every 15 s; two of them missing means that the line is dead.
const SILENCE_MS = 40_000;

export interface Watching {
  name: string;
  token: string;
  signal: AbortSignal;
  onOrder: (order: Order) => void;
  onLine: (alive: boolean) => void;
}

/** Follow an order until it is final or the signal aborts; lost lines are taken up where they broke. */
export async function watch(watching: Watching): Promise<void> {
  let version = 0;
  let failures = 0;
  const take = (order: Order) => {
    version = Math.max(version, Number(order.version));
    failures = 0;
    watching.onOrder(order);
  };
  while (!watching.signal.aborted) {
    try {
      if (await follow(watching, version, take)) return;
    } catch (error) {
      if (error instanceof Problem && !error.passing) throw error;
    }
    if (watching.signal.aborted) return;
    watching.onLine(false);
    await sleep(backoffMs(failures++), watching.signal);
  }
}

/** One connection; true when the order is final, so that nothing follows. */
async function follow(watching: Watching, version: number, take: (order: Order) => void): Promise<boolean> {
  const connection = new AbortController();
  const signal = AbortSignal.any([watching.signal, connection.signal]);
  // From the last known version, not the one after: the answer then begins at once, and shows that the line is alive.
  const path = `/v1/${watching.name}:watch?fromVersion=${Math.max(version, 1)}`;
  let final = false;
  try {
    const answer = await send(path, { token: watching.token }, signal, "text/event-stream");
    watching.onLine(true);
    if (!answer.body) return false;
    for await (const event of events(answer.body, SILENCE_MS)) {
      const update = JSON.parse(event.data) as WatchEvent;
      if (update.order) {
        take(update.order);
        final = FINAL.has(update.order.state);
      }
      if (update.end) return final || (update.end.status?.code ?? 0) === 0;
    }
    return final;
  } finally {
    connection.abort();
  }
}
