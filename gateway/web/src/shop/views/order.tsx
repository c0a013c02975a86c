import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem } from "../../api/problem.ts";
import type { Order } from "../../api/types.ts";
import { FINAL } from "../../api/types.ts";
import { watch } from "../../api/watch.ts";
import { announce } from "../../shared/announce.ts";
import { Notice } from "../../shared/announcer.tsx";
import { region, time } from "../../shared/i18n.ts";
import { format, sum, times } from "../../shared/money.ts";
import { available, product } from "../catalogue.ts";
import type { Messages } from "../en.ts";
import { customer, endIfRefused, token } from "../session.ts";
import { shortId, stateText, words } from "../words.ts";
import { SignInFirst } from "./account.tsx";
import { Cancel } from "./cancel.tsx";
import { Lines, type LineShown } from "./lines.tsx";
import { Page } from "./page.tsx";
import { Onward } from "./products.tsx";
import { StateBadge } from "./state.tsx";

/** One order, live: what it is, where it stands, what happened. */
export function OrderView({ name }: { name: string }) {
  return customer.value ? <Watched name={name} /> : <SignInFirst title={words.value.orderOf(shortId(name))} />;
}

function Watched({ name }: { name: string }) {
  const messages = words.value;
  const versions = useSignal<Order[]>([]);
  const alive = useSignal(true);
  const missing = useSignal(false);
  useEffect(() => {
    const gone = new AbortController();
    versions.value = [];
    missing.value = false;
    const used = token.value;
    watch({
      name,
      token: used,
      signal: gone.signal,
      onOrder: (order) => {
        versions.value = withVersion(versions.peek(), order);
      },
      onLine: (now) => {
        alive.value = now;
      },
    }).catch((error: unknown) => {
      if (gone.signal.aborted) return;
      endIfRefused(error, used);
      missing.value = error instanceof Problem && error.status !== 401;
    });
    return () => gone.abort();
  }, [name, token.value]);

  const order = versions.value.at(-1);
  const title = messages.orderOf(shortId(name));
  return (
    <Page title={title}>
      {missing.value && <p role="alert">{messages.notFound}</p>}
      {!order && !missing.value && <p>{alive.value ? messages.loading : messages.lineLost}</p>}
      {order && <Shown order={order} versions={versions.value} alive={alive.value} />}
      <p>
        <a href="#/orders">{messages.allOrders}</a>
      </p>
    </Page>
  );
}

interface ShownProps {
  order: Order;
  versions: Order[];
  alive: boolean;
}

function Shown({ order, versions, alive }: ShownProps) {
  const messages = words.value;
  const { headline } = messages.state[order.state];
  const final = FINAL.has(order.state);
  useEffect(() => announce(`${headline}. ${stateText(order, messages)}`), [order.state]);
  return (
    <>
      <section class={`card verdict ${order.state.toLowerCase()}`}>
        <StateBadge state={order.state} />
        <h2>{headline}</h2>
        <p>{stateText(order, messages)}</p>
      </section>
      <div class="card">
        <Lines lines={shownLines(order, messages)} />
        <Total order={order} />
      </div>
      <section>
        <h2>
          {messages.timeline} {!final && alive && <span class="live">{messages.live}</span>}
        </h2>
        {!final && !alive && <Notice text={messages.lineLost} />}
        <ol class="timeline">
          {versions.map((version) => (
            <li key={version.version} class={version.state.toLowerCase()}>
              <time dateTime={version.updateTime}>{time(version.updateTime, true)}</time>
              <span>{messages.state[version.state].event}</span>
            </li>
          ))}
        </ol>
        <p class="muted">{messages.placedAt(time(order.createTime))}</p>
      </section>
      {!final && <Cancel order={order} />}
      <Onward />
    </>
  );
}

/** The lines with prices as they are now where none is fixed yet, and with what is short now where the order failed. */
function shownLines(order: Order, messages: Messages): LineShown[] {
  return order.lines.map((line) => {
    const left = available(line.product);
    const short = order.state === "REJECTED" && left !== undefined && left < line.quantity;
    return {
      ...line,
      unitPrice: line.unitPrice ?? (order.state === "PENDING" ? product(line.product)?.unitPrice : undefined),
      note: short ? messages.shortNow(left) : undefined,
    };
  });
}

/** What the order costs: fixed, an estimate while it waits, or nothing. */
function Total({ order }: { order: Order }) {
  const messages = words.value;
  const prices = shownLines(order, messages).flatMap((line) => (line.unitPrice ? [times(line.unitPrice, line.quantity)] : []));
  const estimate = prices.length === order.lines.length ? sum(prices) : undefined;
  const pending = order.state === "PENDING" && !order.total;
  const total = order.total ?? (pending ? estimate : undefined);
  if (!total && !pending && order.state !== "REJECTED") return null;
  return (
    <p class="sum">
      <span>{pending ? messages.estimatedTotal : messages.total}</span>
      <strong>{order.state === "REJECTED" ? messages.nothingToPay : total ? format(total, region.value) : messages.totalLater}</strong>
      {pending && total && <small class="muted">{messages.totalLater}</small>}
    </p>
  );
}

/** *versions* with one more, by version and each once. */
function withVersion(versions: Order[], order: Order): Order[] {
  const others = versions.filter((each) => each.version !== order.version);
  return [...others, order].sort((one, other) => Number(one.version) - Number(other.version));
}
