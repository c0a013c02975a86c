// One intent to buy: what the customer pressed "Place order" for, and what is known of it.
//
// Its key goes with every repeat, so that however often the line breaks there is one order.
// Pure: time, chance and storage come from outside.

import type { Problem } from "../api/problem.ts";
import type { Order, Violation } from "../api/types.ts";
import { backoffMs } from "../shared/backoff.ts";

export interface Line {
  product: string;
  quantity: number;
}

/**
 * sending: the first try is under way and nothing is wrong yet
 * unknown: no answer came, so that the order may or may not be placed; asking again
 * busy: it was not taken, for now; trying again
 * unsigned: the shop did not take the token, so the customer has to sign in; then the same key may be used again
 * accepted, refused: the answer is known
 * expired: the key is so old that a repeat could be a second order, so nobody repeats it
 */
export type Phase = "sending" | "unknown" | "busy" | "unsigned" | "accepted" | "refused" | "expired";

/** The phases in which the shop is asked again and again. */
export type OpenPhase = "sending" | "unknown" | "busy";

export interface Refusal {
  reason: string;
  message: string;
  violations: Violation[];
}

export interface Intent {
  key: string;
  customer: string; // the key names one order of one customer only
  lines: Line[];
  createdMs: number;
  phase: Phase;
  failures: number;
  nextTryMs: number;
  unclear?: boolean; // an earlier try may have placed the order
  unclearMs?: number; // when a try last ended without an answer
  order?: string;
  refusal?: Refusal;
}

// The service keeps keys for seven days; a day less leaves room for clocks that differ.
export const KEY_LIFETIME_MS = 6 * 24 * 3600 * 1000;
// A try without an answer is over by then: the edge gives it up after 10 s.
export const TRY_ENDS_MS = 15_000;

const OPEN: ReadonlySet<Phase> = new Set(["sending", "unknown", "busy"]);

/** A new intent; *key* has not been used before. */
export function begin(key: string, customer: string, lines: Line[], nowMs: number): Intent {
  return { key, customer, lines, createdMs: nowMs, phase: "sending", failures: 0, nextTryMs: nowMs };
}

export interface Shortage {
  product: string;
  left: number;
}

/** Which products a refusal says there are too few of: "5 wanted, 3 available". */
export function shortages(intent: Intent): Shortage[] {
  return (intent.refusal?.violations ?? [])
    .filter((each) => each.subject.startsWith("products/"))
    .map((each) => ({ product: each.subject, left: Number(/(\d+) available/.exec(each.description)?.[1] ?? 0) }));
}

/** Whether the shop is asked for its outcome again and again. */
export function isOpen(intent: Intent | undefined): intent is Intent & { phase: OpenPhase } {
  return intent !== undefined && OPEN.has(intent.phase);
}

/** The intent after the shop has answered with an order. */
export function accepted(intent: Intent, order: Order): Intent {
  return { ...intent, phase: "accepted", order: order.name };
}

/** The intent after a try failed. */
export function failed(intent: Intent, problem: Problem, nowMs: number, random?: () => number): Intent {
  if (problem.status === 401) return { ...intent, phase: "unsigned", unclear: mayBePlaced(intent) };
  const failures = intent.failures + 1;
  if (!problem.passing) {
    // A refusal is of its moment: a try that is still under way may place the order all the same.
    const endsMs = (intent.unclearMs ?? Number.NEGATIVE_INFINITY) + TRY_ENDS_MS;
    if (endsMs <= nowMs) return refused(intent, problem);
    return { ...intent, phase: "unknown", failures, nextTryMs: Math.min(endsMs, nowMs + backoffMs(intent.failures, random)) };
  }
  const waitMs = Math.max(backoffMs(intent.failures, random), problem.retryAfterMs);
  // Once it may have arrived, a later "not now" does not tell that it has not.
  const phase = problem.unclear || intent.phase === "unknown" ? "unknown" : "busy";
  const unclearMs = problem.unclear ? { unclearMs: nowMs } : {};
  return { ...intent, ...unclearMs, phase, failures, nextTryMs: nowMs + waitMs };
}

/** The intent as it is when a page loads: a try under way when the last page went away has an unknown end. */
export function restored(intent: Intent, nowMs: number): Intent {
  if (!isOpen(intent)) return intent;
  if (nowMs - intent.createdMs > KEY_LIFETIME_MS) return { ...intent, phase: "expired" };
  return { ...intent, phase: "unknown", unclearMs: nowMs, nextTryMs: nowMs };
}

/** The intent of a customer who has signed in again and wants it: the same key, whatever became of earlier tries. */
export function repeated(intent: Intent, nowMs: number): Intent {
  if (intent.phase !== "unsigned") return intent;
  if (nowMs - intent.createdMs > KEY_LIFETIME_MS) return { ...intent, phase: "expired" };
  return { ...intent, phase: mayBePlaced(intent) ? "unknown" : "sending", nextTryMs: nowMs };
}

/** Whether an earlier try may have placed the order although no answer came. */
export function mayBePlaced(intent: Intent): boolean {
  return intent.phase === "unknown" || intent.unclear === true;
}

/** The intent with its next try due now. */
export function hurried(intent: Intent, nowMs: number): Intent {
  return { ...intent, nextTryMs: nowMs };
}

function refused(intent: Intent, problem: Problem): Intent {
  const { reason, message, violations } = problem;
  return { ...intent, phase: "refused", refusal: { reason: reason || `HTTP_${problem.status}`, message, violations } };
}
