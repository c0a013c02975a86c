// A drawing for each product that has one, and the product's first letter for the others.

import type { ComponentChildren } from "preact";

const TINTS = 6;

// On a square of 96 by 96; `f` is filled with the tint's strong colour, `s` is stroked.
const DRAWINGS: Record<string, ComponentChildren> = {
  "beeswax-candle": (
    <>
      <path class="f" d="M38 40h20v34H38z" />
      <path class="s" d="M48 40v-8M30 74h36" />
      <path class="f" d="M48 14c5 7 6 10 6 13a6 6 0 0 1-12 0c0-3 1-6 6-13z" />
    </>
  ),
  "bread-knife": (
    <>
      <path class="f" d="M10 42h52l-2 3 2 3-2 3 2 3H22c-7 0-11-5-12-12z" />
      <path class="s" d="M62 41v14" />
      <rect class="f" x="62" y="42" width="26" height="11" rx="4" />
      <path class="l" d="M70 47.5h1M80 47.5h1" />
    </>
  ),
  "coffee-grinder": (
    <>
      <path class="f" d="M32 46h32v32H32z" />
      <path class="s" d="M36 46c0-9 5-14 12-14s12 5 12 14M48 32V20h18M26 78h44" />
      <circle class="f" cx="69" cy="20" r="4" />
      <path class="l" d="M40 62h16" />
    </>
  ),
  "enamel-mug": (
    <>
      <path class="f" d="M24 34h38v36a6 6 0 0 1-6 6H30a6 6 0 0 1-6-6z" />
      <path class="s" d="M62 42h6a7 7 0 0 1 7 7v8a7 7 0 0 1-7 7h-6M21 34h44" />
      <path class="l" d="M33 44v20" />
    </>
  ),
  "field-notebook": (
    <>
      <rect class="f" x="28" y="18" width="42" height="60" rx="4" />
      <path class="l" d="M40 32h20M40 42h20M40 52h12" />
      <path class="s" d="M34 18v60M24 30h8M24 48h8M24 66h8" />
    </>
  ),
  "linen-towel": (
    <>
      <path class="s" d="M16 24h64" />
      <path class="f" d="M28 24h40v46H28z" />
      <path class="l" d="M28 56h40M28 61h40" />
      <path class="s" d="M32 70v8M40 70v8M48 70v8M56 70v8M64 70v8" />
    </>
  ),
  "olive-oil": (
    <>
      <path class="f" d="M42 34h12c0 8 8 10 8 20v20a6 6 0 0 1-6 6H40a6 6 0 0 1-6-6V54c0-10 8-12 8-20z" />
      <path class="s" d="M43 34V18h10v16M40 18h16" />
      <path class="l" d="M48 70c-6-4-6-12 0-16 6 4 6 12 0 16z" />
    </>
  ),
  "table-lamp": (
    <>
      <path class="f" d="M36 18h24l12 30H24z" />
      <path class="s" d="M48 48v28M34 78h28M60 48v10" />
      <circle class="f" cx="60" cy="60" r="2.5" />
    </>
  ),
  "tea-kettle": (
    <>
      <path class="f" d="M26 48c0-10 9-16 20-16s20 6 20 16v20a8 8 0 0 1-8 8H34a8 8 0 0 1-8-8z" />
      <path class="s" d="M32 36c2-14 26-14 28 0M66 50l12-8M42 30h8" />
      <path class="s" d="M80 34c3-3 0-5 3-8" />
    </>
  ),
  "wool-blanket": (
    <>
      <rect class="f" x="20" y="54" width="56" height="14" rx="7" />
      <rect class="f" x="24" y="38" width="48" height="14" rx="7" />
      <path class="s" d="M26 30h44" />
      <path class="l" d="M34 54v14M40 54v14M56 38v14M62 38v14" />
      <path class="s" d="M20 74v6M28 74v6M36 74v6M44 74v6M52 74v6M60 74v6M68 74v6M76 74v6" />
    </>
  ),
};

/** The picture of a product; of no meaning to those who hear the page. */
export function Art({ product, title }: { product: string; title: string }) {
  const id = product.replace(/^products\//, "");
  return (
    <div class={`art tint-${tint(id)}`} aria-hidden="true">
      <svg viewBox="0 0 96 96">{DRAWINGS[id] ?? <text x="48" y="62">{title.slice(0, 1).toUpperCase()}</text>}</svg>
    </div>
  );
}

function tint(id: string): number {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + character.charCodeAt(0)) % 9973;
  return sum % TINTS;
}
