// Pages within the page: the part of the address after #.

import { signal } from "@preact/signals";

/** Where the reader is: "/", "/basket", "/orders/…". */
export const path = signal(current());

addEventListener("hashchange", () => {
  path.value = current();
});

/** Go there; *replace* leaves no step to come back to. */
export function go(to: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", `#${to}`);
    path.value = to;
  } else {
    location.hash = to;
  }
}

function current(): string {
  return location.hash.slice(1) || "/";
}
