import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Order, OrderPage } from "../../api/types.ts";
import { FINAL } from "../../api/types.ts";
import { region, time } from "../../shared/i18n.ts";
import { format } from "../../shared/money.ts";
import { callSigned, customer, token } from "../session.ts";
import { shortId, words } from "../words.ts";
import { SignInFirst } from "./account.tsx";
import { Page } from "./page.tsx";
import { StateBadge } from "./state.tsx";

const PAGE_SIZE = 20;
const REFRESH_MS = 5_000;

/** The customer's orders, newest first; what is not final is looked at again. */
export function Orders() {
  return customer.value ? <Mine /> : <SignInFirst title={words.value.orders} />;
}

function Mine() {
  const said = words.value;
  const orders = useSignal<Order[] | undefined>(undefined);
  const next = useSignal("");
  const failing = useSignal(false);

  const fetchPage = async (pageToken: string, signal?: AbortSignal) => {
    const query = `pageSize=${PAGE_SIZE}${pageToken && `&pageToken=${encodeURIComponent(pageToken)}`}`;
    return callSigned<OrderPage>(`/v1/orders?${query}`, signal && { signal });
  };
  const refresh = async (signal: AbortSignal) => {
    try {
      const page = await fetchPage("", signal);
      if (signal.aborted) return;
      const known = orders.peek() ?? [];
      orders.value = merged(page.orders, known);
      if (known.length === 0) next.value = page.nextPageToken;
      failing.value = false;
    } catch {
      if (!signal.aborted) failing.value = true;
    }
  };
  const more = async () => {
    try {
      const page = await fetchPage(next.peek());
      orders.value = merged(orders.peek() ?? [], page.orders);
      next.value = page.nextPageToken;
    } catch {
      failing.value = true;
    }
  };
  useEffect(() => {
    const gone = new AbortController();
    const round = () => {
      const waiting = orders.peek()?.some((order) => !FINAL.has(order.state)) ?? true;
      if (document.visibilityState === "visible" && (waiting || failing.peek())) void refresh(gone.signal);
    };
    void refresh(gone.signal);
    const timer = setInterval(round, REFRESH_MS);
    return () => {
      clearInterval(timer);
      gone.abort();
    };
  }, [token.value]);

  return (
    <Page title={said.orders}>
      {failing.value && (
        <p class="notice" role="status">
          {said.ordersFailed}
        </p>
      )}
      {!orders.value && !failing.value && <p role="status">{said.loading}</p>}
      {orders.value?.length === 0 && <p class="empty">{said.noOrders}</p>}
      <ul class="orders">
        {orders.value?.map((order) => (
          <Row key={order.name} order={order} />
        ))}
      </ul>
      {next.value && (
        <p>
          <button type="button" onClick={more}>
            {said.more}
          </button>
        </p>
      )}
    </Page>
  );
}

function Row({ order }: { order: Order }) {
  const said = words.value;
  const count = order.lines.reduce((total, line) => total + line.quantity, 0);
  return (
    <li>
      <a class="card row" href={`#/${order.name}`}>
        <span class="what">
          <strong>{said.orderOf(shortId(order.name))}</strong>
          <small class="muted">
            {time(order.createTime)} · {said.items(count)}
          </small>
        </span>
        <span class="amount">{order.total && format(order.total, region.value)}</span>
        <StateBadge state={order.state} />
      </a>
    </li>
  );
}

/** *first*, then what *second* has besides. */
function merged(first: Order[], second: Order[]): Order[] {
  const names = new Set(first.map((order) => order.name));
  return [...first, ...second.filter((order) => !names.has(order.name))];
}
