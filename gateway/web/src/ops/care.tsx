// Backlogs, and the operators' actions on them.

import { useSignal } from "@preact/signals";
import { go } from "../shared/router.ts";
import type { Reconciled } from "./board.ts";
import { knows } from "./board.ts";
import { number } from "./format.ts";
import { backlog, backlogTrouble, reconcile, redrive } from "./source.ts";
import { Table } from "./table.tsx";

/** Orders by state, consumer lag, dead letters and their redrive. */
export function Backlog({ groups }: { groups: Record<string, Record<string, number>> }) {
  const waits = backlog.value;
  const states = Object.fromEntries(waits?.states.map((each) => [each.state, Number(each.orders)]) ?? []);
  const topics = Object.fromEntries(waits?.topics.map((each) => [each.topic, Number(each.messages)]) ?? []);
  return (
    <>
      {backlogTrouble.value && <p class="notice">Orders say nothing: {backlogTrouble.value.message}</p>}
      {waits?.unknown?.map((part) => (
        <p key={part} class="notice">
          Not known: {part}
        </p>
      ))}
      <Bars title="Orders by state" values={states} />
      <Bars title="Accepted in the last hour, by state then" values={groups["orders_placed_1h"] ?? {}} />
      <Bars title="Messages not processed yet, by topic" values={{ ...groups["consumer_lag"], ...topics }} />
      <FindOrder />
      {knows(waits, "Kafka") && waits && <DeadLetters topics={waits.deadLetterTopics ?? []} refused={Number(waits.refusedRows)} />}
    </>
  );
}

const ORDER = /^orders\/[0-9a-f-]{36}$/;

/** Opens an order's timeline, by its name or id. */
function FindOrder() {
  const submit = (event: Event) => {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget as HTMLFormElement).get("order") ?? "").trim();
    const name = typed.startsWith("orders/") ? typed : `orders/${typed}`;
    if (ORDER.test(name)) go(`/${name}`);
  };
  return (
    <form class="find" onSubmit={submit}>
      <label for="order">Order</label>
      <input id="order" name="order" required pattern="\s*(orders/)?[0-9a-f\-]{36}\s*" title="An order's name or id" />
      <button type="submit">Open</button>
    </form>
  );
}

function DeadLetters({ topics, refused }: { topics: { topic: string; messages: string }[]; refused: number }) {
  const outcome = useSignal("");
  const count = topics.reduce((sum, each) => sum + Number(each.messages), 0);
  const send = async (topic?: string) => {
    outcome.value = await outcomeOf(async () => {
      const done = await redrive(topic);
      return `${done.redriven} sent back, ${done.passedOver} passed over, ${done.outboxRows} events given to Kafka again.`;
    });
  };
  return (
    <div class="care">
      <p>
        {number(count)} dead letters, {number(refused)} events that Kafka refuses
      </p>
      <button type="button" disabled={count + refused === 0} onClick={() => send()}>
        Redrive
      </button>
      <p role="status">{outcome.value}</p>
      <Table label="Dead letters" heads={["Topic", "dead letters", "send back"]}>
        {topics.map((each) => (
          <tr key={each.topic}>
            <th scope="row">{each.topic}</th>
            <td>{number(Number(each.messages))}</td>
            <td>
              <button
                type="button"
                class="quiet"
                disabled={Number(each.messages) === 0}
                aria-label={`Redrive ${each.topic}`}
                onClick={() => send(each.topic)}
              >
                Redrive
              </button>
            </td>
          </tr>
        ))}
      </Table>
    </div>
  );
}

/** Reconciles orders, holds and stock on demand. */
export function Reconcile() {
  const outcome = useSignal("");
  const found = useSignal<Reconciled | undefined>(undefined);
  const busy = useSignal(false);
  const run = async (validateOnly: boolean) => {
    busy.value = true;
    outcome.value = await outcomeOf(async () => {
      found.value = await reconcile(validateOnly);
      const { orders, holds, discrepancies, repaired } = found.value;
      return `${orders} orders and ${holds} holds compared: ${discrepancies.length} differences, ${repaired} repaired.`;
    });
    busy.value = false;
  };
  return (
    <div class="care">
      <button type="button" disabled={busy.value} onClick={() => run(true)}>
        Compare with orders
      </button>
      <button type="button" disabled={busy.value} onClick={() => run(false)}>
        Compare and repair
      </button>
      <p role="status">{outcome.value}</p>
      {found.value && found.value.discrepancies.length > 0 && (
        <Table label="Differences" heads={["Kind", "Subject", "Found", "Repaired"]}>
          {found.value.discrepancies.map((each) => (
            <tr key={`${each.kind} ${each.subject}`}>
              <th scope="row">{each.kind}</th>
              <td>{ORDER.test(each.subject) ? <a href={`#/${each.subject}`}>{each.subject}</a> : each.subject}</td>
              <td>{each.detail}</td>
              <td>{each.repaired ? "yes" : "no"}</td>
            </tr>
          ))}
        </Table>
      )}
    </div>
  );
}

/** The result of an action, or its error. */
async function outcomeOf(action: () => Promise<string>): Promise<string> {
  try {
    return await action();
  } catch (error) {
    return `That did not work: ${error instanceof Error ? error.message : String(error)}`;
  }
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
