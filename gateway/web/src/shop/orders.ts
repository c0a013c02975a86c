// The customer's orders as far as they were looked at; they stay when the reader goes to one of them and comes back.

import { signal } from "@preact/signals";
import type { Order, OrderPage, OrderState } from "../api/types.ts";
import { FINAL } from "../api/types.ts";
import { merged } from "./merged.ts";
import { callSigned, customer } from "./session.ts";

const PAGE_SIZE = 20;

export interface Looked {
  whose: string;
  state: OrderState | ""; // only these; empty means all
  orders: Order[];
  next: string; // where the next page begins; empty at the end
}

export const looked = signal<Looked | undefined>(undefined);
export const failing = signal(false);

/** The orders in that state, if it is them that were looked at last. */
export function known(state: OrderState | ""): Looked | undefined {
  const now = looked.value;
  return now?.whose === customer.value && now.state === state ? now : undefined;
}

/** Look at the newest ones (again). */
export async function refresh(state: OrderState | "", signal: AbortSignal): Promise<void> {
  await attempt(async () => {
    const whose = customer.peek();
    const page = await ask(state, "", signal);
    if (signal.aborted) return;
    const before = known(state);
    // What has left the state meanwhile has left the list, as far as this page reaches.
    const others = before?.orders.filter((each) => !state || each.state === state) ?? [];
    looked.value = {
      whose,
      state,
      orders: merged(page.orders, others),
      next: before ? before.next : page.nextPageToken,
    };
  }, signal);
}

/** Look at older ones. */
export async function more(state: OrderState | ""): Promise<void> {
  await attempt(async () => {
    const before = known(state);
    if (!before?.next) return;
    const page = await ask(state, before.next);
    looked.value = { ...before, orders: merged(before.orders, page.orders), next: page.nextPageToken };
  });
}

/** Whether something may still change by itself. */
export function waits(): boolean {
  return looked.peek()?.orders.some((order) => !FINAL.has(order.state)) ?? true;
}

function ask(state: OrderState | "", pageToken: string, signal?: AbortSignal): Promise<OrderPage> {
  const query = new URLSearchParams({ pageSize: String(PAGE_SIZE) });
  if (state) query.set("state", state);
  if (pageToken) query.set("pageToken", pageToken);
  return callSigned<OrderPage>(`/v1/orders?${query}`, signal && { signal });
}

async function attempt(action: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  try {
    await action();
    failing.value = false;
  } catch {
    if (!signal?.aborted) failing.value = true;
  }
}
