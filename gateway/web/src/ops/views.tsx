import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { signOut, user } from "../shared/session.ts";
import type { Alert, Board, Breaker, Calls, Fault, Pod, Product } from "./board.ts";
import { about, between, failing, knows, seconds } from "./board.ts";
import { Backlog, Reconcile } from "./care.tsx";
import { clock, duration, ms, number, share } from "./format.ts";
import { Figures, InPrometheus } from "./figures.tsx";
import { Histories, openHop } from "./history.tsx";
import { OrderTimeline } from "./timeline.tsx";
import { Mesh } from "./mesh.tsx";
import { SignIn } from "./sign-in.tsx";
import { Stores } from "./stores.tsx";
import { backlog, board, help, keepLooking, lift, refused, trouble } from "./source.ts";
import { Runbooks, leadToRunbook, runbookId } from "./runbooks.tsx";
import { Table } from "./table.tsx";

export function Operations() {
  useEffect(keepLooking, []);
  const now = board.value;
  return (
    <>
      <header>
        <h1>Operations</h1>
        <p class="muted as-of">
          {now ? `As of ${clock(now.at)}` : refused.value ? "" : "Reading…"}
        </p>
        {help.value?.prometheus && <a href={help.value.prometheus}>Prometheus</a>}
        {user.value && (
          <button type="button" class="quiet" onClick={() => signOut()}>
            Sign out {user.value}
          </button>
        )}
      </header>
      <main>
        {refused.value && (
          <section class="card panel">
            <h2>Who are you?</h2>
            <SignIn />
          </section>
        )}
        {trouble.value && !refused.value && (
          <p class="notice" role="alert">
            The board does not answer ({trouble.value.message}); what you see is old.
          </p>
        )}
        {!refused.value && <OrderTimeline />}
        {now && <Everything now={now} />}
      </main>
    </>
  );
}

function Everything({ now }: { now: Board }) {
  return (
    <>
      {now.alerts?.length !== 0 && (
        <Panel title="Alerts" part="alerts" now={now} wide>
          {now.alerts && <Alerts alerts={now.alerts} at={now.at} />}
        </Panel>
      )}
      <Tiles now={now} />
      <Panel title="Who calls whom" part="calls" now={now} wide>
        {now.calls && <Mesh calls={now.calls} breakers={now.breakers ?? []} pods={now.pods ?? []} open={openHop} />}
        {now.calls && <CallTable calls={now.calls} breakers={now.breakers ?? []} />}
        <Figures of={{ rate: "calls", errors: "failures", p99_ms: "p99" }} />
      </Panel>
      <Histories />
      <Panel title="Data stores" part="stores" now={now} wide>
        {now.stores && <Stores stores={now.stores} />}
      </Panel>
      <div class="column">
        <Panel title="Faults in force" part="faults" now={now}>
          {now.faults && <Faults faults={now.faults} />}
        </Panel>
        <Panel title="Breakers" part="breakers" now={now}>
          {now.breakers && <Breakers breakers={now.breakers} />}
        </Panel>
        <Panel title="Replicas" part="pods" now={now}>
          {now.pods && <Pods pods={now.pods} />}
        </Panel>
      </div>
      <div class="column">
        <section class="card panel">
          <h2>Orders and messages</h2>
          <Backlog groups={now.groups ?? {}} />
        </section>
        <Panel title="Stock" part="stock" now={now}>
          {now.stock && <Stock products={now.stock} />}
          <Reconcile />
        </Panel>
      </div>
    </>
  );
}

const SEVERITIES: Record<string, string> = { page: "breaker-open", ticket: "breaker-partly" };

function Alerts({ alerts, at }: { alerts: Alert[]; at: number }) {
  const runbooks = help.value?.runbooks ?? {};
  const names = [...new Set(alerts.map((each) => each.name))].filter((name) => runbooks[name]);
  return (
    <>
      <Table label="Alerts" heads={["Alert", "Severity", "About", "Since", "for"]}>
        {alerts.map((each) => (
          <tr key={`${each.name} ${about(each)}`}>
            <th scope="row">
              {runbooks[each.name] ? (
                <a href={`#${runbookId(each.name)}`} onClick={leadToRunbook}>
                  {each.name}
                </a>
              ) : (
                each.name
              )}
            </th>
            <td>
              <span class={`badge ${SEVERITIES[each.severity] ?? ""}`}>{each.severity}</span>
            </td>
            <td>{about(each) || "–"}</td>
            <td>
              <InPrometheus text={clock(each.since)} about={each.name} query={`ALERTS{alertname="${each.name}"}`} />
            </td>
            <td>{duration(at - each.since)}</td>
          </tr>
        ))}
      </Table>
      <Runbooks names={names} texts={runbooks} />
    </>
  );
}

function Tiles({ now }: { now: Board }) {
  const numbers = now.numbers ?? {};
  const waits = knows(backlog.value, "PostgreSQL");
  const dead = knows(backlog.value, "Kafka");
  const pending = waits?.states.find((each) => each.state === "PENDING");
  const open = now.breakers?.filter((each) => each.state !== "closed").length;
  const off = now.stock?.filter((each) => each.off !== 0).length;
  const wrong = off === undefined ? numbers["unbalanced_products"] : off;
  return (
    <ul class="tiles">
      <Tile
        title="Orders waiting"
        value={waits ? Number(pending?.orders ?? 0) : numbers["orders_pending"]}
        note={oldest(waits ? seconds(waits.oldestPendingAge) : numbers["orders_pending_oldest_s"])}
        figure="orders_pending"
      />
      <Tile
        title="Events waiting"
        value={waits ? Number(waits.outboxRows) : numbers["outbox_waiting"]}
        note={oldest(waits ? seconds(waits.outboxLag) : numbers["outbox_lag_s"])}
        figure="outbox_waiting"
      />
      <Tile title="Dead letters" value={dead ? Number(dead.deadLetters) : numbers["dead_letters"]} figure="dead_letters" bad />
      <Tile title="Breakers not closed" value={open} figure="ejected" bad />
      <Tile title="Faults in force" value={now.faults?.filter((each) => !each.idle).length} bad />
      <Tile title="Stock not adding up" value={wrong} note="products" figure="unbalanced_products" bad />
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
  figure?: string; // its name among those of the server's help
  bad?: boolean;
}

function Tile({ title, value, note, figure, bad }: TileProps) {
  const kind = value ? (bad ? "bad" : "warn") : "";
  return (
    <li class={`card tile ${kind}`}>
      <span class="muted">{title}</span>
      <strong>
        <InPrometheus text={number(value)} about={title} query={help.value?.figures[figure ?? ""]} />
      </strong>
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

function CallTable({ calls, breakers }: { calls: Calls[]; breakers: Breaker[] }) {
  return (
    <Table label="Calls" heads={["Calls", "Breaker", "per s", "failing", "retries/s", "refused/s", "p99"]}>
      {calls.map((each) => (
        <tr key={`${each.from} ${each.to}`}>
          <th scope="row">
            <button type="button" class="hop" onClick={() => openHop(each.from, each.to)}>
              {each.from} → {each.to}
            </button>
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

function breakerName({ pod, to, subset }: Breaker): string {
  return [pod, to, subset].filter(Boolean).join(" ");
}

function Breakers({ breakers }: { breakers: Breaker[] }) {
  return (
    <Table label="Breakers" heads={["Sidecar → service", "State", "ejected", "last hour"]}>
      {breakers.map((each) => (
        <tr key={breakerName(each)} data-breaker={breakerName(each)}>
          <th scope="row">
            {each.pod} → {each.to}
            {each.subset && ` (${each.subset})`}
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
              {fault.idle && <span class="idle"> Does nothing: {fault.idle}.</span>}
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
          <td>{number(restarts(pod))}</td>
          <td>{pod.outage ? clock(pod.outage.since) : "–"}</td>
          <td>{pod.outage ? (pod.outage.until ? duration(pod.outage.seconds) : "not yet") : "–"}</td>
        </tr>
      ))}
    </Table>
  );
}

/** How often its application or its proxy was started again; nothing if neither is known. */
function restarts({ restarts, proxy_restarts }: Pod): number | undefined {
  return restarts === undefined && proxy_restarts === undefined ? undefined : (restarts ?? 0) + (proxy_restarts ?? 0);
}

function PodState({ pod }: { pod: Pod }) {
  // A gateway is a proxy and nothing else.
  const down = pod.up === 0 ? "down" : pod.proxy_up === 0 ? "proxy down" : "";
  return <span class={`badge ${down ? "breaker-open" : "breaker-closed"}`}>{down || "up"}</span>;
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
