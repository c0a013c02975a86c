// The intents of a device, one for each customer: what one of them waits for is in nobody else's way.

import type { Intent } from "./intent.ts";
import { isOpen } from "./intent.ts";

export type Intents = Readonly<Record<string, Intent>>;

// A shared device; the oldest ones without an open question are forgotten first.
export const MAX_CUSTOMERS = 20;

/** *intents* with another one for its customer. */
export function withIntent(intents: Intents, intent: Intent): Intents {
  const others = Object.values(intents).filter((each) => each.customer !== intent.customer);
  const kept = others.sort(byUse).slice(0, MAX_CUSTOMERS - 1);
  return Object.fromEntries([...kept, intent].map((each) => [each.customer, each]));
}

/** *intents* without the one of that customer. */
export function withoutIntent(intents: Intents, customer: string): Intents {
  return Object.fromEntries(Object.entries(intents).filter(([name]) => name !== customer));
}

/** The intents without an answer of others than *customer*, the newest first. */
export function waiting(intents: Intents, customer: string): Intent[] {
  return Object.values(intents)
    .filter((each) => each.customer !== customer && (isOpen(each) || each.phase === "unsigned"))
    .sort((one, other) => other.createdMs - one.createdMs);
}

function byUse(one: Intent, other: Intent): number {
  return Number(isOpen(other)) - Number(isOpen(one)) || other.createdMs - one.createdMs;
}
