// What changed, for those who hear the page: one polite region says it all, so that nothing is said twice or over another.

import { signal } from "@preact/signals";

export const announced = signal("");

// The same words again are a change only if the region was empty between.
const GAP_MS = 50;

/** Have *text* read out once whatever is being read has ended. */
export function announce(text: string): void {
  announced.value = "";
  setTimeout(() => {
    announced.value = text;
  }, GAP_MS);
}
