import type { Order } from "../api/types.ts";

/** *first*, then what *second* has besides; the first is the newer look at the same orders. */
export function merged(first: Order[], second: Order[]): Order[] {
  const names = new Set(first.map((order) => order.name));
  return [...first, ...second.filter((order) => !names.has(order.name))];
}
