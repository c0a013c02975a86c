// Carries an intent to its answer: sends, asks again, survives reloads.

import { computed, effect, signal } from "@preact/signals";
import { Problem } from "../api/problem.ts";
import type { Order } from "../api/types.ts";
import { sleep } from "../shared/backoff.ts";
import { load, save } from "../shared/storage.ts";
import { basket, takeOut } from "./basket.ts";
import { learn } from "./catalogue.ts";
import { accepted, begin, failed, hurried, type Intent, isOpen, mayBePlaced, repeated, restored, shortages } from "./intent.ts";
import { type Intents, waiting, withIntent, withoutIntent } from "./intents.ts";
import { callSigned, customer } from "./session.ts";

const KEY = "shop.intents";

const intents = signal<Intents>(load<Intents>(KEY, {}));
/** The one intent of the customer who is here, if there is one. */
export const intent = computed<Intent | undefined>(() => intents.value[customer.value]);
/** What others than the customer who is here have begun on this device and have no answer to. */
export const others = computed(() => waiting(intents.value, customer.value));
/** Whether a try is on its way right now. */
export const trying = signal(false);

let wake = new AbortController();

/** Order what is in the basket. */
export function checkOut(): void {
  const before = intent.value;
  if (isOpen(before) || basket.value.length === 0 || !customer.value) return;
  // A new key beside one whose order may be placed could be a second order: the customer decides.
  if (before?.phase === "unsigned" && mayBePlaced(before)) return;
  keep(begin(crypto.randomUUID(), customer.value, basket.value, Date.now()));
  void drive();
}

/** Ask now instead of later. */
export function askNow(): void {
  if (!isOpen(intent.value)) return;
  keep(hurried(intent.value, Date.now()));
  wake.abort();
  void drive();
}

/** Send an order whose token was refused once more, with the same key. */
export function repeat(): void {
  if (intent.value?.phase !== "unsigned") return;
  keep(repeated(intent.value, Date.now()));
  void drive();
}

/** Forget an intent that nobody is asking about: its answer has been seen, or its customer gives it up. */
export function dismiss(owner: string = customer.value): void {
  const driven = owner === customer.value && isOpen(intents.peek()[owner]);
  if (!driven) store(withoutIntent(stored(), owner));
}

/** Go on with what an earlier page left open, and keep up with other tabs. */
export function resume(): void {
  for (const each of Object.values(intents.peek())) keep(restored(each, Date.now()));
  addEventListener("online", askNow);
  addEventListener("storage", (event) => {
    if (event.key === KEY) intents.value = load<Intents>(KEY, {});
  });
  effect(() => {
    // Signing in as the customer whose intent it is lets it go on.
    if (isOpen(intent.value)) void drive();
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
  return isOpen(open) ? open : undefined;
}

async function tryOnce(open: Intent): Promise<void> {
  trying.value = true;
  let next: Intent;
  try {
    const order = await callSigned<Order>("/v1/orders", { method: "POST", body: { lines: open.lines }, key: open.key });
    next = accepted(open, order);
  } catch (error) {
    next = failed(open, error instanceof Problem ? error : new Problem(0, undefined), Date.now());
  }
  trying.value = false;
  // Another tab may have had the answer meanwhile.
  const known = intents.peek()[open.customer];
  if (known?.key !== open.key || !isOpen(known)) return;
  if (next.phase === "accepted") takeOut(open.lines);
  for (const { product, left } of shortages(next)) learn(product, left);
  keep(next);
}

function keep(next: Intent): void {
  store(withIntent(stored(), next));
}

let refusedToKeep = false;

/** What this browser keeps, with what other tabs have added; what this page knows if it keeps nothing. */
function stored(): Intents {
  return refusedToKeep ? intents.peek() : load<Intents>(KEY, intents.peek());
}

function store(next: Intents): void {
  // Kept before it is sent: a page that goes away in the middle must find its key again.
  refusedToKeep = !save(KEY, next);
  intents.value = next;
}
