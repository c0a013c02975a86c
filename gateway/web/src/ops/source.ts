// Reads the board every two seconds while somebody looks at it.

import { computed, signal } from "@preact/signals";
import { call } from "../api/http.ts";
import { Problem } from "../api/problem.ts";
import type { Board } from "./board.ts";

const EVERY_MS = 2_000;
const KEY = "ops.token";

export const token = signal(sessionStorage.getItem(KEY) ?? "");
export const board = signal<Board | undefined>(undefined);
/** Why the last look failed; nothing when it did not. */
export const trouble = signal<Problem | undefined>(undefined);
export const refused = computed(() => trouble.value?.status === 401 || trouble.value?.status === 403);

/** Look as the operator whom this token names. */
export function signIn(text: string): void {
  token.value = text;
  sessionStorage.setItem(KEY, text);
  void look();
}

/** Take a VirtualService's faults out of force. */
export async function lift(name: string): Promise<void> {
  await call(`/ops/api/faults/${encodeURIComponent(name)}:lift`, { method: "POST", body: {}, token: token.value });
  await look();
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
  try {
    board.value = await call<Board>("/ops/api/board", { token: token.value });
    trouble.value = undefined;
  } catch (error) {
    trouble.value = error instanceof Problem ? error : new Problem(0, undefined);
  }
  looking = false;
}
