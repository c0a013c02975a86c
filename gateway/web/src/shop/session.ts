// Who is shopping: the customer that a token names, or somebody who only looks around.

import { computed, signal } from "@preact/signals";
import { subject } from "../shared/token.ts";

const KEY = "shop.token";
export const token = signal(sessionStorage.getItem(KEY) ?? "");
/** The customer's id; empty while nobody has signed in. */
export const customer = computed(() => subject(token.value) ?? "");

/** Shop with this token from now on, in this tab; an empty one signs out. */
export function signIn(text: string): void {
  token.value = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}
