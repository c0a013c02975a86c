// The products with their stock, looked at again while somebody looks at them.

import { signal } from "@preact/signals";
import { call } from "../api/http.ts";
import type { Product, ProductPage } from "../api/types.ts";
import { load, save } from "../shared/storage.ts";

const KEY = "shop.catalogue";
const REFRESH_MS = 4_000;
const PAGES_LIMIT = 20;

interface Catalogue {
  products: Product[];
  seenMs: number; // when the shop last told; 0 means never
}

/** What the shop last told. */
export const catalogue = signal<Catalogue>(load<Catalogue>(KEY, { products: [], seenMs: 0 }));
/** Whether the last look failed, so that stock may have changed. */
export const stale = signal(false);
/** Whether the first look of this page is over. */
export const looked = signal(false);

/** The product of that name, if it is known. */
export function product(name: string): Product | undefined {
  return catalogue.value.products.find((each) => each.name === name);
}

/** Look now, and again every few seconds while the page is visible. */
export function keepFresh(): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const round = async () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") await refresh();
    timer = setTimeout(round, REFRESH_MS * (0.9 + 0.2 * Math.random()));
  };
  const onVisible = () => {
    if (document.visibilityState === "visible") void round();
  };
  document.addEventListener("visibilitychange", onVisible);
  void round();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}

async function refresh(): Promise<void> {
  try {
    catalogue.value = { products: await everything(), seenMs: Date.now() };
    save(KEY, catalogue.value);
    stale.value = false;
  } catch {
    stale.value = true;
  }
  looked.value = true;
}

async function everything(): Promise<Product[]> {
  const products: Product[] = [];
  let page = "";
  for (let pages = 0; pages < PAGES_LIMIT; pages++) {
    const path = `/v1/products?pageSize=500${page && `&pageToken=${encodeURIComponent(page)}`}`;
    const answer = await call<ProductPage>(path);
    products.push(...answer.products);
    page = answer.nextPageToken;
    if (!page) break;
  }
  return products;
}
