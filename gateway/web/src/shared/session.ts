// Who uses the pages: whoever a token names. One session for every tab of the browser, until it is over.

import { computed, signal } from "@preact/signals";
import { call, type Call } from "../api/http.ts";
import { Problem } from "../api/problem.ts";
import { load, save } from "./storage.ts";
import { isExpired, millisecondsLeft, subject } from "./token.ts";

/**
 * Why nobody is signed in any more.
 *
 * expired: the token's time is over
 * refused: the shop does not accept the token
 */
export type Ended = "" | "expired" | "refused";

const KEY = "shop.token";
// What setTimeout can wait at most.
const LONGEST_WAIT_MS = 2 ** 31 - 1;

export const token = signal(load(KEY, ""));
/** Why the last session ended; empty while there is one, and after signing out. */
export const ended = signal<Ended>("");
/** Whom the token names; empty while nobody is signed in. */
export const user = computed(() => subject(token.value) ?? "");

let expiry: ReturnType<typeof setTimeout> | undefined;

addEventListener("storage", (event) => {
  if (event.key === KEY || event.key === null) take(load(KEY, ""), "");
});
document.addEventListener("visibilitychange", check);
check();

/** Use this token from now on, in every tab. */
export function signIn(text: string): void {
  save(KEY, text);
  take(text, "");
}

/** End the session in every tab. */
export function signOut(why: Ended = ""): void {
  save(KEY, undefined);
  take("", why);
}

/** Call the API as whoever is signed in; a token that is refused ends the session. */
export async function callSigned<T>(path: string, options: Call = {}): Promise<T> {
  const used = token.peek();
  try {
    return await call<T>(path, { ...options, token: used });
  } catch (error) {
    endIfRefused(error, used);
    throw error;
  }
}

/** End the session if *error* says that the token *used* is not good; another one may have come meanwhile. */
export function endIfRefused(error: unknown, used: string): void {
  if (error instanceof Problem && error.status === 401 && used && used === token.peek()) signOut("refused");
}

function take(text: string, why: Ended): void {
  token.value = text;
  ended.value = why;
  check();
}

/** End a session whose time is over, and look again when that will be. */
function check(): void {
  clearTimeout(expiry);
  if (!token.peek()) return;
  if (isExpired(token.peek(), Date.now())) return signOut("expired");
  expiry = setTimeout(check, Math.min(LONGEST_WAIT_MS, millisecondsLeft(token.peek(), Date.now())));
}
