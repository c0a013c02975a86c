// The products with their stock, looked at again while somebody looks at them.

import { signal } from "@preact/signals";
import { call } from "../api/http.ts";
import type { Product, ProductPage } from "../api/types.ts";
import { load, save } from "../shared/storage.ts";

const KEY = "shop.catalogue";
const REFRESH_MS = 4_000;
const MAX_PAGES = 20;

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

/** What a refusal says of a product's stock, until the shop is looked at again. */
export function learn(name: string, left: number): void {
  const products = catalogue.peek().products.map((each) =>
    each.name === name && each.stock ? { ...each, stock: { ...each.stock, available: String(left) } } : each,
  );
  catalogue.value = { ...catalogue.peek(), products };
}

/** How many of a product can be had, as far as is known. */
export function available(name: string): number | undefined {
  const stock = product(name)?.stock;
  return stock && Number(stock.available);
}

async function refresh(): Promise<void> {
  try {
    know({ products: await everything(), seenMs: Date.now() });
    stale.value = false;
  } catch {
    await fallBack();
    stale.value = true;
  }
  looked.value = true;
}

/** The last catalogue that the pages' server has had, if it is newer than what this browser knows. */
async function fallBack(): Promise<void> {
  try {
    const kept = await call<{ products: Product[]; asOf: number }>("/catalogue.json");
    const seenMs = kept.asOf * 1000;
    if (seenMs > catalogue.peek().seenMs) know({ products: kept.products, seenMs });
  } catch {
    // What this browser knows is all there is.
  }
}

function know(found: Catalogue): void {
  catalogue.value = found;
  save(KEY, found);
}

async function everything(): Promise<Product[]> {
  const products: Product[] = [];
  let page = "";
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const path = `/v1/products?pageSize=500${page && `&pageToken=${encodeURIComponent(page)}`}`;
    const answer = await call<ProductPage>(path);
    products.push(...answer.products);
    page = answer.nextPageToken;
    if (!page) break;
  }
  return products;
}
