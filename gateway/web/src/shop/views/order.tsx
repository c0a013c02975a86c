import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem } from "../../api/problem.ts";
import type { Order } from "../../api/types.ts";
import { FINAL } from "../../api/types.ts";
import { watch } from "../../api/watch.ts";
import { region, time } from "../../shared/i18n.ts";
import { format } from "../../shared/money.ts";
import { customer, endIfRefused, token } from "../session.ts";
import { shortId, stateText, words } from "../words.ts";
import { SignInFirst } from "./account.tsx";
import { Cancel } from "./cancel.tsx";
import { Lines } from "./lines.tsx";
import { Page } from "./page.tsx";
import { StateBadge } from "./state.tsx";

/** One order, live: what it is, where it stands, what happened. */
export function OrderView({ name }: { name: string }) {
  return customer.value ? <Watched name={name} /> : <SignInFirst title={words.value.orderOf(shortId(name))} />;
}

function Watched({ name }: { name: string }) {
  const said = words.value;
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
  const title = said.orderOf(shortId(name));
  return (
    <Page title={title}>
      {missing.value && <p role="alert">{said.notFound}</p>}
      {!order && !missing.value && <p role="status">{alive.value ? said.loading : said.lineLost}</p>}
      {order && <Shown order={order} versions={versions.value} alive={alive.value} />}
      <p>
        <a href="#/orders">{said.allOrders}</a>
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
  const said = words.value;
  const { headline } = said.state[order.state];
  const final = FINAL.has(order.state);
  return (
    <>
      <section class={`card verdict ${order.state.toLowerCase()}`} aria-live="polite" aria-atomic="true">
        <StateBadge state={order.state} />
        <h2>{headline}</h2>
        <p>{stateText(order, said)}</p>
      </section>
      <div class="card">
        <Lines lines={order.lines} />
        <p class="sum">
          <span>{said.total}</span>
          <strong>{order.total ? format(order.total, region.value) : said.totalLater}</strong>
        </p>
      </div>
      <section>
        <h2>
          {said.timeline} {!final && alive && <span class="live">{said.live}</span>}
        </h2>
        {!final && !alive && (
          <p class="notice" role="status">
            {said.lineLost}
          </p>
        )}
        <ol class="timeline">
          {versions.map((version) => (
            <li key={version.version} class={version.state.toLowerCase()}>
              <time dateTime={version.updateTime}>{time(version.updateTime, true)}</time>
              <span>{said.state[version.state].event}</span>
            </li>
          ))}
        </ol>
        <p class="muted">{said.placedAt(time(order.createTime))}</p>
      </section>
      {!final && <Cancel order={order} />}
    </>
  );
}

/** *versions* with one more, by version and each once. */
function withVersion(versions: Order[], order: Order): Order[] {
  const others = versions.filter((each) => each.version !== order.version);
  return [...others, order].sort((one, other) => Number(one.version) - Number(other.version));
}
