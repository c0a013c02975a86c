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
  PUBLISHED: "published",
  UNPUBLISHED: "waiting to be published",
  PUBLISHING_REFUSED: "refused by Kafka",
  MESSAGE_WAITS: "waiting to be processed",
  DEAD_LETTER: "dead letter",
  STOCK_HELD: "stock held",
  STOCK_SOLD: "stock committed",
  STOCK_RELEASED: "stock released",
};

const timeline = signal<Timeline | undefined>(undefined);
const error = signal("");

/** The order that the address names, if it names one. */
export function OrderTimeline() {
  const name = PLACE.exec(path.value)?.[1];
  const known = token.value;
  useEffect(() => {
    timeline.value = undefined;
    error.value = "";
    if (name && known) void load(name);
  }, [name, known]);
  if (!name) return null;
  return (
    <section class="card panel full">
      <h2>Order {name.slice(7, 15)}</h2>
      {error.value && <p role="alert">{error.value}</p>}
      {timeline.value && <Entries of={timeline.value} />}
      <p class="timeline-links">
        <button type="button" class="quiet" onClick={() => load(name)}>
          Refresh
        </button>
        <a href={`/#/${name}`}>As its customer sees it</a>
        <a href="#/">Close</a>
      </p>
    </section>
  );
}

async function load(name: string): Promise<void> {
  try {
    const found = await callSigned<Timeline>(`/v1/${name}:timeline`);
    // The user may have gone on to another order meanwhile.
    if (path.peek() !== `/${name}`) return;
    timeline.value = found;
    error.value = "";
  } catch (thrown) {
    error.value = `The timeline could not be loaded: ${thrown instanceof Problem ? thrown.message : String(thrown)}`;
  }
}

function Entries({ of }: { of: Timeline }) {
  return (
    <>
      <p>
        {of.order.name} of {of.order.customer} is <strong>{of.order.state}</strong> {of.order.stateReason}
      </p>
      <Table label="Order timeline" heads={["Change", "Time", "After", "Details", "Replica", "Trace"]}>
        {of.entries.map((entry, number) => (
          <tr key={number}>
            <th scope="row">{change(entry)}</th>
            <td>{entry.time ? moment(entry.time) : "now"}</td>
            <td>{entry.after ? duration(seconds(entry.after)) : "–"}</td>
            <td class="words">{details(entry)}</td>
            <td>{entry.replica || "–"}</td>
            <td>
              <Trace id={entry.traceId} />
            </td>
          </tr>
        ))}
      </Table>
      {of.unknown?.map((part) => (
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

function change(entry: TimelineEntry): string {
  return entry.kind === "CHANGED" ? `${entry.state} (version ${entry.version})` : (WORDS[entry.kind] ?? entry.kind);
}

function details({ kind, topic, partition, offset, detail, deliveries }: TimelineEntry): string {
  const place = kind === "PUBLISHED" ? `${topic}/${partition ?? 0}/${offset ?? 0}` : topic;
  const tried = Number(deliveries ?? 0) > 0 ? `${deliveries} failed deliveries` : "";
  return [place, detail, tried].filter(Boolean).join(", ") || "–";
}
