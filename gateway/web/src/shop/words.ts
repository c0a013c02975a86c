import type { Order } from "../api/types.ts";
import { locale, messages } from "../shared/i18n.ts";
import { product } from "./catalogue.ts";
import { en, type Messages } from "./en.ts";
import { es } from "./es.ts";
import { textIn } from "./goods.ts";

/** What the shop says, in the reader's language. */
export const words = messages<Messages>({ en, es });

/** A product's name and description as the page shows them. */
export function textOf(name: string): ReturnType<typeof textIn> {
  return textIn(locale.value, name, product(name));
}

/** An order's state for a customer, with the reason where it ended badly. */
export function stateText(order: Pick<Order, "state" | "stateReason">, messages: Messages): string {
  const { text } = messages.state[order.state];
  const reason = order.state === "REJECTED" ? messages.reasons[order.stateReason] : undefined;
  return reason ? `${reason} ${text}` : text;
}

/** The part of an order's id that people read to each other. */
export function shortId(name: string): string {
  return name.replace(/^orders\//, "").slice(0, 8).toUpperCase();
}
