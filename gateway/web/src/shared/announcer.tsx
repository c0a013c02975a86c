import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { announce, announced } from "./announce.ts";

/** The one live region of a page; it must be there before anything is said in it. */
export function Announcer() {
  return (
    <p class="hidden" aria-live="polite" aria-atomic="true">
      {announced.value}
    </p>
  );
}

/** Something that shows up by itself, seen and heard; *said* is its text without what is inside. */
export function Notice({ said, children }: { said: string; children?: ComponentChildren }) {
  useEffect(() => announce(said), [said]);
  return (
    <p class="notice">
      {said} {children}
    </p>
  );
}
