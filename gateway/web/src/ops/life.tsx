// The timeline of one order from the orders service, at /ops#/orders/….

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem } from "../api/problem.ts";
import { path } from "../shared/router.ts";
import { callSigned, token } from "../shared/session.ts";
import type { Timeline, TimelineEntry } from "./board.ts";
import { seconds } from "./board.ts";
import { duration, moment } from "./format.ts";
import { help } from "./source.ts";
import { Table } from "./table.tsx";

const PLACE = /^\/(orders\/[0-9a-f-]{36})$/;
const WORDS: Record<string, string> = {
  ANSWERED: "answered",
  UNPUBLISHED: "waiting to be published",
  PUBLISHING_REFUSED: "refused by Kafka",
  MESSAGE_WAITS: "waiting to be processed",
  DEAD_LETTER: "dead letter",
  STOCK_HELD: "stock held",
  STOCK_SOLD: "stock committed",
  STOCK_RELEASED: "stock released",
};

const told = signal<Timeline | undefined>(undefined);
const trouble = signal("");

/** The order that the address names, if it names one. */
export function Life() {
  const name = PLACE.exec(path.value)?.[1];
  const known = token.value;
  useEffect(() => {
    told.value = undefined;
    trouble.value = "";
    if (name && known) void look(name);
  }, [name, known]);
  if (!name) return null;
  return (
    <section class="card panel full">
      <h2>Order {name.slice(7, 15)}</h2>
      {trouble.value && <p role="alert">{trouble.value}</p>}
      {told.value && <Told life={told.value} />}
      <p class="life-links">
        <button type="button" class="quiet" onClick={() => look(name)}>
          Look again
        </button>
        <a href={`/#/${name}`}>As its customer sees it</a>
        <a href="#/">Close</a>
      </p>
    </section>
  );
}

async function look(name: string): Promise<void> {
  try {
    const found = await callSigned<Timeline>(`/v1/${name}:timeline`);
    // The user may have gone on to another order meanwhile.
    if (path.peek() !== `/${name}`) return;
    told.value = found;
    trouble.value = "";
  } catch (error) {
    trouble.value = `The timeline could not be loaded: ${error instanceof Problem ? error.message : String(error)}`;
  }
}

function Told({ life }: { life: Timeline }) {
  return (
    <>
      <p>
        {life.order.name} of {life.order.customer} is <strong>{life.order.state}</strong> {life.order.stateReason}
      </p>
      <Table label="The order's life" heads={["What", "When", "after", "More", "Replica", "Trace"]}>
        {life.entries.map((entry, number) => (
          <tr key={number}>
            <th scope="row">{what(entry)}</th>
            <td>{entry.time ? moment(entry.time) : "now"}</td>
            <td>{entry.after ? duration(seconds(entry.after)) : "–"}</td>
            <td class="words">{more(entry)}</td>
            <td>{entry.replica || "–"}</td>
            <td>
              <Trace id={entry.traceId} />
            </td>
          </tr>
        ))}
      </Table>
      {life.unknown?.map((part) => (
        <p key={part} class="notice">
          Not known: {part}
        </p>
      ))}
    </>
  );
}

function Trace({ id }: { id: string | undefined }) {
  if (!id) return <>–</>;
  const viewer = help.value?.traces;
  return viewer ? <a href={viewer + id}>{id.slice(0, 8)}</a> : <code title={id}>{id.slice(0, 8)}</code>;
}

function what(entry: TimelineEntry): string {
  return entry.kind === "CHANGED" ? `${entry.state} (version ${entry.version})` : (WORDS[entry.kind] ?? entry.kind);
}

function more({ topic, detail, deliveries }: TimelineEntry): string {
  const tried = Number(deliveries ?? 0) > 0 ? `${deliveries} failed deliveries` : "";
  return [topic, detail, tried].filter(Boolean).join(", ") || "–";
}
