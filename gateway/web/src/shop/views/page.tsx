import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { takePlace } from "../../shared/router.ts";
import { words } from "../words.ts";

let first = true;

interface Props {
  title: string;
  lead?: string;
  lang?: string | undefined; // of the title, if not the page's
  keepsPlace?: boolean; // who comes back finds it where they left it
  children: ComponentChildren;
}

/** A page with its heading; takes the focus when the reader comes to it, so that it is read out. */
export function Page({ title, children, lead, lang, keepsPlace = false }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  // Before the browser paints: an effect after it shows who comes back the page's top for a frame.
  useLayoutEffect(() => {
    if (!first) {
      takePlace(keepsPlace);
      heading.current?.focus({ preventScroll: true });
    }
    first = false;
  }, []);
  useEffect(() => {
    document.title = `${title} · ${words.value.shop}`;
  }, [title]);
  return (
    <>
      <h1 ref={heading} tabIndex={-1} lang={lang}>
        {title}
      </h1>
      {lead && <p class="lead">{lead}</p>}
      {children}
    </>
  );
}
