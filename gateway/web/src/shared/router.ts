// Pages within the page: the part of the address after #.

import { signal } from "@preact/signals";

/** Where the reader is: "/", "/basket", "/orders/…". */
export const path = signal(current());

// How far down the reader was on each page, to come back to.
const scrolls = new Map<string, number>();
const MAX_PLACES = 50;
// The address changes before the page does, and what scrolls in between says nothing of the old page.
let moving = false;

history.scrollRestoration = "manual";
addEventListener("hashchange", () => {
  moving = true;
  path.value = current();
});
addEventListener("scroll", () => {
  if (!moving) remember(path.peek(), scrollY);
});

function remember(where: string, top: number): void {
  scrolls.delete(where);
  scrolls.set(where, top);
  const oldest = scrolls.keys().next().value;
  if (scrolls.size > MAX_PLACES && oldest !== undefined) scrolls.delete(oldest);
}

/** Scroll to where the reader left this page, or to its top. */
export function takePlace(kept: boolean): void {
  const top = kept ? (scrolls.get(path.peek()) ?? 0) : 0;
  scrollTo(0, top);
  moving = false;
}

/** The address without what follows the question mark, and that. */
export function parts(address: string): { page: string; query: URLSearchParams } {
  const [page = "", query = ""] = address.split("?", 2);
  return { page, query: new URLSearchParams(query) };
}

/** Go there; *replace* leaves no step to come back to. */
export function go(to: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", `#${to}`);
    moving = true;
    path.value = to;
  } else {
    location.hash = to;
  }
}

function current(): string {
  return location.hash.slice(1) || "/";
}
