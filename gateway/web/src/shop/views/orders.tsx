import { useEffect } from "preact/hooks";
import type { Order, OrderState } from "../../api/types.ts";
import { announce } from "../../shared/announce.ts";
import { Notice } from "../../shared/announcer.tsx";
import { region, time } from "../../shared/i18n.ts";
import { format } from "../../shared/money.ts";
import { go, parts, path } from "../../shared/router.ts";
import { failing, known, more, refresh, waits } from "../orders.ts";
import { customer, token } from "../session.ts";
import { shortId, words } from "../words.ts";
import { SignInFirst } from "./account.tsx";
import { Page } from "./page.tsx";
import { StateBadge } from "./state.tsx";

const REFRESH_MS = 5_000;
const STATES: OrderState[] = ["PENDING", "CONFIRMED", "FULFILLED", "REJECTED", "CANCELLED"];

/** The customer's orders, newest first; what is not final is looked at again. */
export function Orders() {
  return customer.value ? <Mine /> : <SignInFirst title={words.value.orders} />;
}

function Mine() {
  const messages = words.value;
  const state = chosenState();
  const found = known(state);
  useEffect(() => {
    const gone = new AbortController();
    const round = () => {
      if (document.visibilityState === "visible" && (waits() || failing.peek())) void refresh(state, gone.signal);
    };
    void refresh(state, gone.signal);
    const timer = setInterval(round, REFRESH_MS);
    return () => {
      clearInterval(timer);
      gone.abort();
    };
  }, [token.value, state]);
  const showMore = async () => {
    const before = found?.orders.length ?? 0;
    await more(state);
    announce(messages.moreShown((known(state)?.orders.length ?? before) - before));
  };
  return (
    <Page title={messages.orders} keepsPlace>
      <Filter state={state} />
      {failing.value && <Notice text={messages.ordersFailed} />}
      {!found && !failing.value && <p>{messages.loading}</p>}
      {found?.orders.length === 0 && <p class="empty">{state ? messages.noOrdersSo : messages.noOrders}</p>}
      <ul class="orders">
        {found?.orders.map((order) => (
          <Row key={order.name} order={order} />
        ))}
      </ul>
      {found?.next && (
        <p>
          <button type="button" onClick={showMore}>
            {messages.more}
          </button>
        </p>
      )}
    </Page>
  );
}

/** Which orders the address asks for. */
function chosenState(): OrderState | "" {
  const wanted = parts(path.value).query.get("state") ?? "";
  return STATES.find((each) => each === wanted) ?? "";
}

function Filter({ state }: { state: OrderState | "" }) {
  const messages = words.value;
  const choose = (event: Event) => {
    const wanted = (event.currentTarget as HTMLSelectElement).value;
    go(wanted ? `/orders?state=${wanted}` : "/orders", true);
  };
  return (
    <p class="filter">
      <label for="state">{messages.show}</label>
      <select id="state" value={state} onChange={choose}>
        <option value="">{messages.every}</option>
        {STATES.map((each) => (
          <option key={each} value={each}>
            {messages.state[each].word}
          </option>
        ))}
      </select>
    </p>
  );
}

function Row({ order }: { order: Order }) {
  const messages = words.value;
  const count = order.lines.reduce((total, line) => total + line.quantity, 0);
  return (
    <li>
      <a class="card row" href={`#/${order.name}`}>
        <span class="what">
          <strong>{messages.orderOf(shortId(order.name))}</strong>
          <small class="muted">
            {time(order.createTime)} · {messages.items(count)}
          </small>
        </span>
        <span class="amount">{order.total && format(order.total, region.value)}</span>
        <StateBadge state={order.state} />
      </a>
    </li>
  );
}
