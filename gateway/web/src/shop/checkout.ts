// Carries an intent to its answer: sends, asks again, survives reloads.

import { effect, signal } from "@preact/signals";
import { call } from "../api/http.ts";
import { Problem } from "../api/problem.ts";
import type { Order } from "../api/types.ts";
import { sleep } from "../shared/backoff.ts";
import { load, save } from "../shared/storage.ts";
import { basket, takeOut } from "./basket.ts";
import { accepted, begin, failed, hurried, type Intent, isOpen, restored } from "./intent.ts";
import { customer, signIn, token } from "./session.ts";

const KEY = "shop.intent";

/** The one intent of this browser, if there is one. */
export const intent = signal<Intent | undefined>(load<Intent | undefined>(KEY, undefined));
/** Whether a try is on its way right now. */
export const trying = signal(false);

let wake = new AbortController();

/** Order what is in the basket. */
export function checkOut(): void {
  if (isOpen(intent.value) || basket.value.length === 0 || !customer.value) return;
  set(begin(crypto.randomUUID(), customer.value, basket.value, Date.now()));
  void drive();
}

/** Ask now instead of later. */
export function askNow(): void {
  if (!isOpen(intent.value)) return;
  set(hurried(intent.value, Date.now()));
  wake.abort();
  void drive();
}

/** Forget an intent whose answer the customer has seen. */
export function dismiss(): void {
  if (!isOpen(intent.value)) set(undefined);
}

/** Go on with what an earlier page left open, and keep up with other tabs. */
export function resume(): void {
  if (intent.value) set(restored(intent.value, Date.now()));
  addEventListener("online", askNow);
  addEventListener("storage", (event) => {
    if (event.key === KEY) intent.value = load<Intent | undefined>(KEY, undefined);
  });
  effect(() => {
    // Signing in as the customer whose intent it is lets it go on.
    if (isOpen(intent.value) && intent.value.customer === customer.value) void drive();
  });
}

let driving = false;

async function drive(): Promise<void> {
  if (driving) return;
  driving = true;
  try {
    for (let open = mine(); open; open = mine()) {
      wake = new AbortController();
      await sleep(Math.max(0, open.nextTryMs - Date.now()), wake.signal);
      const due = mine();
      if (due && due.nextTryMs <= Date.now()) await tryOnce(due);
    }
  } finally {
    driving = false;
  }
}

/** The open intent of the customer who is here; sent for another, its key would be another order. */
function mine(): Intent | undefined {
  const open = intent.peek();
  return isOpen(open) && open.customer === customer.peek() ? open : undefined;
}

async function tryOnce(open: Intent): Promise<void> {
  trying.value = true;
  let next: Intent;
  try {
    const order = await call<Order>("/v1/orders", {
      method: "POST",
      body: { lines: open.lines },
      key: open.key,
      token: token.peek(),
    });
    next = accepted(open, order);
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem(0, undefined);
    // A token whose time is over says nothing of the order: it waits until its customer is back.
    if (problem.status === 401) signIn("");
    next = problem.status === 401 ? open : failed(open, problem, Date.now());
  }
  trying.value = false;
  // Another tab may have had the answer meanwhile.
  if (intent.peek()?.key !== open.key || !isOpen(intent.peek())) return;
  if (next.phase === "accepted") takeOut(open.lines);
  set(next);
}

function set(next: Intent | undefined): void {
  // Kept before it is sent: a page that goes away in the middle must find its key again.
  save(KEY, next);
  intent.value = next;
}
