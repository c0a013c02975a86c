import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { announce, announced } from "./announce.ts";

/** The one live region of a page; it must be there before anything is announced in it. */
export function Announcer() {
  return (
    <p class="hidden" aria-live="polite" aria-atomic="true">
      {announced.value}
    </p>
  );
}

/** Something that shows up by itself, seen and heard; *text* is its text without what is inside. */
export function Notice({ text, children }: { text: string; children?: ComponentChildren }) {
  useEffect(() => announce(text), [text]);
  return (
    <p class="notice">
      {text} {children}
    </p>
  );
}
