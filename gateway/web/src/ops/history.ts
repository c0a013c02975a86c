// The board's figures over a period: what is asked for, and how an answer becomes plots.

import { duration, ms, number, share } from "./format.ts";

export const PERIODS = ["15m", "1h", "6h", "1d", "7d"] as const;
export type Period = (typeof PERIODS)[number];

/** Two services, the first of which calls the second. */
export interface Hop {
  from: string;
  to: string;
}

export interface Line {
  name: string;
  values: (number | null)[]; // one for each moment of the history
}

/** What `GET /ops/api/history` says; times in seconds since 1970. */
export interface History {
  period: string;
  step: number;
  at: number[];
  charts: Record<string, Line[]>;
  faults: [number, number][];
  outages: [number, number][];
  starts: { at: number; service: string; pod: string }[];
}

export interface Chart {
  title: string;
  of: Record<string, string>; // the history's charts in it, by the name of a line without one of its own
  text: (value: number | null | undefined) => string;
  least: number; // what the axis reaches if everything is below
}

const perSecond = (value: number | null | undefined) => (value === null || value === undefined ? "–" : `${number(value)}/s`);
const milliseconds = (value: number | null | undefined) => ms(value ?? undefined);
const percent = (value: number | null | undefined) =>
  value === null || value === undefined || value === 1 ? share(value ?? undefined) : `${(Math.min(value, 0.9999) * 100).toFixed(2)}%`;

export const SYSTEM: Chart[] = [
  { title: "Calls at the edge", of: { rate: "calls", errors: "failures" }, text: perSecond, least: 0.1 },
  { title: "Response time at the edge", of: { latency: "" }, text: milliseconds, least: 10 },
  { title: "Availability, 5 minutes", of: { availability: "" }, text: percent, least: 1 },
  { title: "Orders pending", of: { pending: "orders" }, text: number, least: 2 },
  { title: "Oldest event that waits", of: { outbox: "age" }, text: duration, least: 1 },
  { title: "Consumer lag, messages", of: { lag: "" }, text: number, least: 2 },
  { title: "Ejected hosts, by caller", of: { ejected: "" }, text: number, least: 2 },
];
export const HOP: Chart[] = [
  { title: "Calls", of: { rate: "calls", errors: "failures" }, text: perSecond, least: 0.1 },
  { title: "Response time", of: { latency: "" }, text: milliseconds, least: 10 },
  { title: "Retried and refused", of: { retries: "retries", overflow: "refused" }, text: perSecond, least: 0.1 },
  { title: "Ejected hosts, by sidecar", of: { ejected: "" }, text: number, least: 2 },
];

/** The lines of a chart, with their names. */
export function linesOf(history: History, chart: Chart): Line[] {
  return Object.entries(chart.of).flatMap(([name, title]) =>
    (history.charts[name] ?? []).map((line) => ({ name: title || line.name, values: line.values })),
  );
}

/** A chart in words, for who does not see it: of each line the last value and the highest. */
export function inWords(lines: Line[], text: Chart["text"]): string {
  return lines
    .map(({ name, values }) => {
      const known = values.filter((each) => each !== null);
      return known.length === 0 ? "" : `${name} ${text(known.at(-1))}, at most ${text(Math.max(...known))}`;
    })
    .filter(Boolean)
    .join("; ");
}

/** Starts of processes of one service at about the same time, as one mark: a deployment, or a restart. */
export function marks(starts: History["starts"], step: number): { at: number; text: string }[] {
  const found: { at: number; service: string; pods: Set<string> }[] = [];
  for (const { at, service, pod } of starts) {
    const near = found.find((each) => each.service === service && at - each.at <= Math.max(step, 60));
    if (near) near.pods.add(pod);
    else found.push({ at, service, pods: new Set([pod]) });
  }
  return found.map(({ at, service, pods }) => ({
    at,
    text: pods.size === 1 ? `${[...pods][0]} started` : `${pods.size} of ${service} started`,
  }));
}

/** The path of a history. */
export function pathOf(period: Period, hop: Hop | undefined): string {
  const query = new URLSearchParams({ period, ...hop });
  return `/ops/api/history?${query}`;
}
