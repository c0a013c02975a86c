import { computed, effect, signal } from "@preact/signals";
import { load, save } from "../shared/storage.ts";
import type { Line } from "./intent.ts";

// The contract's own limits.
export const MAX_QUANTITY = 1000;
export const MAX_LINES = 100;

const KEY = "shop.basket";

export const basket = signal<Line[]>(load<Line[]>(KEY, []));
export const pieces = computed(() => basket.value.reduce((total, line) => total + line.quantity, 0));

effect(() => {
  save(KEY, basket.value);
});
addEventListener("storage", (event) => {
  if (event.key === KEY) basket.value = load<Line[]>(KEY, []);
});

/** How many of a product are in the basket. */
export function quantityOf(product: string): number {
  return basket.value.find((line) => line.product === product)?.quantity ?? 0;
}

/** Put that many of a product into the basket. */
export function put(product: string, quantity: number): void {
  basket.value = withQuantity(basket.value, product, quantity);
}

/** Take out what has been ordered; what was added since stays. */
export function takeOut(ordered: Line[]): void {
  basket.value = ordered.reduce(
    (lines, { product, quantity }) =>
      withQuantity(lines, product, (lines.find((line) => line.product === product)?.quantity ?? 0) - quantity),
    basket.value,
  );
}

/** *lines* with *quantity* of a product, which keeps its place; none of it at 0 or less. */
export function withQuantity(lines: Line[], product: string, quantity: number): Line[] {
  const wanted = Math.min(MAX_QUANTITY, Math.trunc(quantity));
  const index = lines.findIndex((line) => line.product === product);
  if (wanted < 1) return lines.filter((line) => line.product !== product);
  if (index >= 0) return lines.with(index, { product, quantity: wanted });
  return lines.length < MAX_LINES ? [...lines, { product, quantity: wanted }] : lines;
}
