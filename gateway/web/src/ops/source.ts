// Polls the board every two seconds while the page is visible.

import { computed, effect, type Signal, signal } from "@preact/signals";
import { Problem } from "../api/problem.ts";
import { callSigned, token, user } from "../shared/session.ts";
import type { Backlog, Board, Help, Reconciled, Redriven } from "./board.ts";

const EVERY_MS = 2_000;
const RECONCILE_MS = 120_000;

export const help = signal<Help | undefined>(undefined);
export const board = signal<Board | undefined>(undefined);
/** What waits, as the orders service says; why it does not say. */
export const backlog = signal<Backlog | undefined>(undefined);
export const backlogTrouble = signal<Problem | undefined>(undefined);
/** Why the last look failed; nothing when it did not. */
export const trouble = signal<Problem | undefined>(undefined);
/** Whether the board is not for whoever looks at it; a session whose token is refused has ended by then. */
export const refused = computed(() => !user.value || trouble.value?.status === 403);

/** Lift the faults of a VirtualService. */
export async function lift(name: string): Promise<void> {
  await callSigned(`/ops/api/faults/${encodeURIComponent(name)}:lift`, { method: "POST", body: {} });
  await look();
}

/** Redrive dead letters: those of one topic, or of all topics and the events that Kafka refused. */
export async function redrive(topic?: string): Promise<Redriven> {
  const done = await callSigned<Redriven>("/v1/deadLetters:redrive", { method: "POST", body: topic ? { topic } : {} });
  await look();
  return done;
}

/** Compare orders, holds, events and stock, and repair what can be repaired, unless told only to look. */
export function reconcile(validateOnly: boolean): Promise<Reconciled> {
  return callSigned<Reconciled>("/v1/orders:reconcile", {
    method: "POST",
    body: { validateOnly },
    timeoutMs: RECONCILE_MS,
  });
}

/** Look now and again, until the returned function is called. */
export function keepLooking(): () => void {
  const round = () => {
    if (document.visibilityState === "visible") void look();
  };
  const timer = setInterval(round, EVERY_MS);
  // Whoever signs in, here or in another tab, sees what is for them and nothing that was for somebody else.
  const stop = effect(() => {
    void token.value;
    forget();
    round();
  });
  document.addEventListener("visibilitychange", round);
  return () => {
    stop();
    clearInterval(timer);
    document.removeEventListener("visibilitychange", round);
  };
}

function forget(): void {
  board.value = undefined;
  trouble.value = undefined;
  backlog.value = undefined;
  backlogTrouble.value = undefined;
}

let looking = false;

async function look(): Promise<void> {
  // It is for operators, so without a token there is nothing to ask.
  if (looking || !user.peek()) return;
  looking = true;
  await Promise.all([
    read("/ops/api/board", board, trouble),
    read("/v1/backlog", backlog, backlogTrouble),
    // It does not change while the pages' server runs.
    help.peek() ? undefined : read("/ops/api/help", help, signal<Problem | undefined>(undefined)),
  ]);
  looking = false;
}

/** Read one thing; what was known stays when it cannot be read. */
async function read<T>(path: string, into: Signal<T | undefined>, failed: Signal<Problem | undefined>): Promise<void> {
  const used = token.peek();
  try {
    const found = await callSigned<T>(path);
    if (used !== token.peek()) return;
    into.value = found;
    failed.value = undefined;
  } catch (error) {
    if (used !== token.peek()) return;
    failed.value = error instanceof Problem ? error : new Problem(0, undefined);
  }
}
