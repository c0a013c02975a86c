import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Board, Breaker, Calls, Fault, Pod, Product } from "./board.ts";
import { between, failing } from "./board.ts";
import { clock, duration, ms, number, share } from "./format.ts";
import { Mesh } from "./mesh.tsx";
import { board, keepLooking, lift, refused, signIn, trouble } from "./source.ts";

export function Operations() {
  useEffect(keepLooking, []);
  const now = board.value;
  return (
    <>
      <header>
        <h1>Operations</h1>
        <p class="muted" role="status">
          {now ? `As of ${clock(now.at)}` : "Reading…"}
        </p>
      </header>
      <main>
        {refused.value && <SignIn />}
        {trouble.value && !refused.value && (
          <p class="notice" role="alert">
            The board does not answer ({trouble.value.message}); what you see is old.
          </p>
        )}
        {now && <Everything now={now} />}
      </main>
    </>
  );
}

function Everything({ now }: { now: Board }) {
  return (
    <>
      <Tiles now={now} />
      <Panel title="Who calls whom" part="calls" now={now} wide>
        {now.calls && <Mesh calls={now.calls} breakers={now.breakers ?? []} pods={now.pods ?? []} />}
        {now.calls && <CallTable calls={now.calls} breakers={now.breakers ?? []} />}
      </Panel>
      <div class="column">
        <Panel title="Breakers" part="breakers" now={now}>
          {now.breakers && <Breakers breakers={now.breakers} />}
        </Panel>
        <Panel title="Replicas" part="pods" now={now}>
          {now.pods && <Pods pods={now.pods} />}
        </Panel>
      </div>
      <div class="column">
        <Panel title="Faults in force" part="faults" now={now}>
          {now.faults && <Faults faults={now.faults} />}
        </Panel>
        <Panel title="Orders and messages" part="groups" now={now}>
          {now.groups && <Flow groups={now.groups} numbers={now.numbers ?? {}} />}
        </Panel>
        <Panel title="Stock" part="stock" now={now}>
          {now.stock && <Stock products={now.stock} />}
        </Panel>
      </div>
    </>
  );
}

function Tiles({ now }: { now: Board }) {
  const told = now.numbers ?? {};
  const open = now.breakers?.filter((each) => each.state === "open" || each.state === "partly").length;
  const off = now.stock?.filter((each) => each.off !== 0).length;
  const wrong = off === undefined ? told["unbalanced_products"] : off;
  return (
    <ul class="tiles">
      <Tile title="Orders waiting" value={told["orders_pending"]} note={oldest(told["orders_pending_oldest_s"])} />
      <Tile title="Events waiting" value={told["outbox_waiting"]} note={oldest(told["outbox_lag_s"])} />
      <Tile title="Dead letters" value={told["dead_letters"]} bad />
      <Tile title="Breakers open" value={open} bad />
      <Tile title="Faults in force" value={now.faults?.length} bad />
      <Tile title="Stock not adding up" value={wrong} note="products" bad />
    </ul>
  );
}

function oldest(seconds: number | null | undefined): string {
  return seconds ? `oldest ${duration(seconds)}` : "";
}

interface TileProps {
  title: string;
  value: number | null | undefined;
  note?: string;
  bad?: boolean;
}

function Tile({ title, value, note, bad }: TileProps) {
  const kind = value ? (bad ? "bad" : "warn") : "";
  return (
    <li class={`card tile ${kind}`}>
      <span class="muted">{title}</span>
      <strong>{number(value)}</strong>
      <small class="muted">{value === null || value === undefined ? "not known" : note}</small>
    </li>
  );
}

interface PanelProps {
  title: string;
  part: string;
  now: Board;
  wide?: boolean;
  children: ComponentChildren;
}

function Panel({ title, part, now, wide, children }: PanelProps) {
  const problem = now.problems[part];
  return (
    <section class={`card panel ${wide ? "full" : ""}`}>
      <h2>{title}</h2>
      {problem ? <p class="notice">Not known: {problem}</p> : children}
    </section>
  );
}

interface TableProps {
  label: string;
  heads: string[];
  children: ComponentChildren;
}

/** A table that scrolls by itself on a narrow screen; the first column is words, the others are numbers. */
function Table({ label, heads, children }: TableProps) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function CallTable({ calls, breakers }: { calls: Calls[]; breakers: Breaker[] }) {
  return (
    <Table label="Calls" heads={["Calls", "Breaker", "per s", "failing", "retries/s", "refused/s", "p99"]}>
      {calls.map((each) => (
        <tr key={`${each.from} ${each.to}`}>
          <th scope="row">
            {each.from} → {each.to}
          </th>
          <td>
            <State state={between(breakers, each.from, each.to)} />
          </td>
          <td>{number(each.rate)}</td>
          <td class={(failing(each) ?? 0) > 0.01 ? "bad" : ""}>{share(failing(each))}</td>
          <td>{number(each.retries)}</td>
          <td>{number(each.overflow)}</td>
          <td>{ms(each.p99_ms)}</td>
        </tr>
      ))}
    </Table>
  );
}

const STATES = { closed: "closed", partly: "partly open", open: "open", empty: "no hosts" };

function State({ state }: { state: keyof typeof STATES }) {
  return <span class={`badge breaker-${state}`}>{STATES[state]}</span>;
}

function Breakers({ breakers }: { breakers: Breaker[] }) {
  return (
    <Table label="Breakers" heads={["Sidecar → service", "State", "ejected", "last hour"]}>
      {breakers.map((each) => (
        <tr key={`${each.pod} ${each.to}`} data-breaker={`${each.pod} ${each.to}`}>
          <th scope="row">
            {each.pod} → {each.to}
          </th>
          <td>
            <State state={each.state} />
          </td>
          <td>
            {number(each.ejected ?? 0)} of {number(each.hosts ?? 0)}
          </td>
          <td>{number(Math.round(each.ejections ?? 0))}</td>
        </tr>
      ))}
    </Table>
  );
}

function Faults({ faults }: { faults: Fault[] }) {
  const failed = useSignal("");
  if (faults.length === 0) return <p class="muted">None: every call goes through as it is.</p>;
  const raise = async (name: string) => {
    try {
      failed.value = "";
      await lift(name);
    } catch (error) {
      failed.value = error instanceof Error ? error.message : String(error);
    }
  };
  return (
    <>
      {failed.value && <p role="alert">{failed.value}</p>}
      <ul class="faults">
        {faults.map((fault) => (
          <li key={`${fault.name} ${fault.route}`}>
            <span>
              <strong>{fault.text}</strong> on {fault.condition} to {fault.hosts.join(", ")}
              <small class="muted">
                {" "}
                VirtualService {fault.name}, route {fault.route}, {fault.file}
              </small>
            </span>
            <button type="button" aria-label={`Lift the faults of ${fault.name}`} onClick={() => raise(fault.name)}>
              Lift
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function Pods({ pods }: { pods: Pod[] }) {
  return (
    <Table label="Replicas" heads={["Replica", "State", "restarts, 1 h", "last outage", "recovered in"]}>
      {pods.map((pod) => (
        <tr key={pod.pod}>
          <th scope="row">{pod.pod}</th>
          <td>
            <PodState pod={pod} />
          </td>
          <td>{number(pod.restarts)}</td>
          <td>{pod.outage ? clock(pod.outage.since) : "–"}</td>
          <td>{pod.outage ? (pod.outage.until ? duration(pod.outage.seconds) : "not yet") : "–"}</td>
        </tr>
      ))}
    </Table>
  );
}

function PodState({ pod }: { pod: Pod }) {
  // A gateway is a proxy and nothing else.
  const down = pod.up === 0 ? "down" : pod.proxy_up === 0 ? "proxy down" : "";
  return <span class={`badge ${down ? "breaker-open" : "breaker-closed"}`}>{down || "up"}</span>;
}

interface FlowProps {
  groups: Record<string, Record<string, number>>;
  numbers: Record<string, number | null>;
}

function Flow({ groups, numbers }: FlowProps) {
  return (
    <>
      <Bars title="Orders by state" values={groups["orders_by_state"] ?? {}} />
      <Bars title="Accepted in the last hour, by state then" values={groups["orders_placed_1h"] ?? {}} />
      <Bars title="Messages not processed yet, by topic" values={groups["consumer_lag"] ?? {}} />
      <p class="muted">
        Stock events waiting: {number(numbers["stock_events_waiting"])} · watchers: {number(numbers["watchers"])} · stock
        generation: {number(numbers["generation"])}
      </p>
    </>
  );
}

function Bars({ title, values }: { title: string; values: Record<string, number> }) {
  const entries = Object.entries(values).sort(([one], [other]) => one.localeCompare(other));
  if (entries.length === 0) return null;
  const most = Math.max(1, ...entries.map(([, value]) => value));
  return (
    <div class="bars">
      <h3>{title}</h3>
      <dl>
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <meter min={0} max={most} value={value} aria-hidden="true" />
              {number(Math.round(value))}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Stock({ products }: { products: Product[] }) {
  return (
    <Table label="Stock" heads={["Product", "on hand", "available", "held", "sold", "off by"]}>
      {products.map((product) => (
        <tr key={product.name}>
          <th scope="row">{product.title}</th>
          <td>{number(product.on_hand)}</td>
          <td>{number(product.available)}</td>
          <td>{number(product.held)}</td>
          <td>{number(product.sold)}</td>
          <td class={product.off ? "bad" : ""}>{number(product.off)}</td>
        </tr>
      ))}
    </Table>
  );
}

function SignIn() {
  const submit = (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    signIn(String(form.get("token") ?? "").trim());
  };
  return (
    <form class="card panel" onSubmit={submit}>
      <h2>For operators</h2>
      <p id="why">The board is for operators of the shop. Paste an operator's token; it stays in this tab.</p>
      <label for="token">Token</label>
      <textarea id="token" name="token" rows={3} required aria-describedby="why" spellcheck={false} />
      <button type="submit" class="primary">
        Sign in
      </button>
    </form>
  );
}
