// Who is shopping: the customer that a token names, or nobody in particular.

import { computed, signal } from "@preact/signals";
import { subject } from "../shared/token.ts";

const KEY = "shop.token";
export const ANONYMOUS = "anonymous";

export const token = signal(sessionStorage.getItem(KEY) ?? "");
export const customer = computed(() => (token.value ? subject(token.value) : undefined) ?? ANONYMOUS);

/** Shop with this token from now on, in this tab; an empty one signs out. */
export function signIn(text: string): void {
  token.value = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}
