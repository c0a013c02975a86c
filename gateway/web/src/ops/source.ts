// Reads the board every two seconds while somebody looks at it.

import { computed, type Signal, signal } from "@preact/signals";
import { call } from "../api/http.ts";
import { Problem } from "../api/problem.ts";
import type { Backlog, Board, Reconciled, Redriven } from "./board.ts";

const EVERY_MS = 2_000;
const RECONCILE_MS = 120_000;
// The same as the storefront's: who has signed in there need not do it again.
const KEY = "shop.token";

export const token = signal(sessionStorage.getItem(KEY) ?? "");
export const board = signal<Board | undefined>(undefined);
/** What waits, as the orders service says; why it does not say. */
export const backlog = signal<Backlog | undefined>(undefined);
export const backlogTrouble = signal<Problem | undefined>(undefined);
/** Why the last look failed; nothing when it did not. */
export const trouble = signal<Problem | undefined>(undefined);
export const refused = computed(() => trouble.value?.status === 401 || trouble.value?.status === 403);

/** Look as the operator whom this token names; an empty one signs out. */
export function signIn(text: string): void {
  token.value = text;
  sessionStorage.setItem(KEY, text);
  backlog.value = undefined;
  backlogTrouble.value = undefined;
  void look();
}

/** Take a VirtualService's faults out of force. */
export async function lift(name: string): Promise<void> {
  await call(`/ops/api/faults/${encodeURIComponent(name)}:lift`, { method: "POST", body: {}, token: token.value });
  await look();
}

/** Send dead letters back to where they came from. */
export async function redrive(): Promise<Redriven> {
  const done = await call<Redriven>("/v1/deadLetters:redrive", { method: "POST", body: {}, token: token.value });
  await look();
  return done;
}

/** Compare orders, holds, events and stock, and repair what can be repaired, unless told only to look. */
export function reconcile(validateOnly: boolean): Promise<Reconciled> {
  return call<Reconciled>("/v1/orders:reconcile", {
    method: "POST",
    body: { validateOnly },
    token: token.value,
    timeoutMs: RECONCILE_MS,
  });
}

/** Look now and again, until the returned function is called. */
export function keepLooking(): () => void {
  const round = () => {
    if (document.visibilityState === "visible") void look();
  };
  const timer = setInterval(round, EVERY_MS);
  document.addEventListener("visibilitychange", round);
  round();
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", round);
  };
}

let looking = false;

async function look(): Promise<void> {
  if (looking) return;
  looking = true;
  await Promise.all([
    read("/ops/api/board", board, trouble),
    // The orders service tells operators only, so without a token there is nothing to ask.
    token.value ? read("/v1/backlog", backlog, backlogTrouble) : undefined,
  ]);
  looking = false;
}

/** Read one thing; what was known stays when it cannot be read. */
async function read<T>(path: string, into: Signal<T | undefined>, failed: Signal<Problem | undefined>): Promise<void> {
  try {
    into.value = await call<T>(path, { token: token.value });
    failed.value = undefined;
  } catch (error) {
    failed.value = error instanceof Problem ? error : new Problem(0, undefined);
  }
}
