// The board's data from the pages' server; an unavailable part is null, with the reason in `problems`.

export type BreakerState = "closed" | "partly" | "open" | "empty";

export interface Calls {
  from: string;
  to: string;
  rate?: number;
  errors?: number;
  retries?: number;
  overflow?: number;
  p99_ms?: number;
}

export interface Breaker {
  from: string;
  pod: string;
  to: string;
  subset: string; // a part of a service's calls with a breaker of its own; empty for the others
  state: BreakerState;
  hosts?: number;
  ejected?: number;
  ejections?: number;
}

export interface Outage {
  since: number;
  until: number | null;
  seconds: number;
}

export interface Pod {
  service: string;
  pod: string;
  up?: number;
  proxy_up?: number;
  restarts?: number;
  proxy_restarts?: number;
  started?: number;
  outage: Outage | null;
}

export interface Member {
  name: string;
  role: string;
  up: boolean;
}

export interface Store {
  name: string;
  state: "up" | "degraded" | "down";
  text: string;
  members: Member[];
}

/** Links for operators: the runbook of each alert, and Prometheus and the trace viewer, if a browser can reach them. */
export interface Help {
  runbooks: Record<string, string>;
  prometheus: string;
  traces: string; // the URL prefix of a trace; empty without a viewer
  graph: string; // what a query is put after; empty where Prometheus cannot be reached
  figures: Record<string, string>; // the queries that the board's numbers come from
}

export interface Product {
  name: string;
  title: string;
  on_hand: number;
  available: number;
  held: number;
  sold: number;
  off: number;
}

export interface Fault {
  name: string;
  namespace: string;
  hosts: string[];
  route: string;
  text: string;
  condition: string;
  file: string;
  idle: string; // why it does nothing; empty for those in force
}

/** A firing alert; its labels identify the subject. */
export interface Alert {
  name: string;
  severity: string; // "page" needs a response now, "ticket" within days
  since: number; // seconds since 1970
  labels: Record<string, string>;
}

export interface Board {
  at: number; // seconds since 1970
  alerts: Alert[] | null;
  calls: Calls[] | null;
  breakers: Breaker[] | null;
  pods: Pod[] | null;
  stores: Store[] | null;
  numbers: Record<string, number | null> | null;
  groups: Record<string, Record<string, number>> | null;
  stock: Product[] | null;
  faults: Fault[] | null;
  problems: Record<string, string>;
}

/** What `GET /v1/backlog` of the API says; 64-bit integers travel as strings. */
export interface Backlog {
  states: { state: string; orders: string }[];
  oldestPendingAge?: string;
  outboxRows: string;
  outboxLag?: string;
  refusedRows: string;
  topics: { topic: string; messages: string }[];
  deadLetters: string;
  deadLetterTopics?: { topic: string; messages: string }[];
  unknown?: string[]; // "Kafka: …" or "PostgreSQL: …": what could not be asked, and why
}

/** One entry of an order's timeline, past or pending; unknown values are empty or absent. */
export interface TimelineEntry {
  kind: string;
  time?: string;
  after?: string; // how long after the one before, such as "1.5s"
  state?: string;
  version?: string;
  detail?: string;
  replica?: string;
  traceId?: string;
  topic?: string;
  partition?: number; // of an event that was published, as its offset
  offset?: string;
  deliveries?: string;
}

/** What `GET /v1/orders/{order}:timeline` says. */
export interface Timeline {
  order: { name: string; customer: string; state: string; stateReason?: string };
  entries: TimelineEntry[];
  unknown?: string[];
}

/** The result of redriving dead letters. */
export interface Redriven {
  redriven: string;
  passedOver: string;
  outboxRows: string;
}

/** The result of a reconciliation. */
export interface Reconciled {
  discrepancies: { kind: string; subject: string; detail: string; repaired: boolean }[];
  orders: string;
  holds: string;
  repaired: string;
  unrepaired: string;
}

/** The backlog, if it knows what *part* tells; nothing if that could not be asked. */
export function knows(backlog: Backlog | undefined, part: "PostgreSQL" | "Kafka"): Backlog | undefined {
  return backlog?.unknown?.some((each) => each.startsWith(part)) ? undefined : backlog;
}

/** What an alert is about: a pod, or a service, then whatever else its labels name. */
export function about({ labels }: Alert): string {
  const { service, pod, ...others } = labels;
  return [pod ?? service, ...Object.values(others)].filter(Boolean).join(", ");
}

/** Seconds of a protobuf duration such as "1.5s". */
export function seconds(duration: string | undefined): number {
  return Number.parseFloat(duration ?? "0") || 0;
}

/** The worst of several breakers: what an operator should see first. */
export function worst(states: BreakerState[]): BreakerState {
  const order: BreakerState[] = ["open", "empty", "partly", "closed"];
  return order.find((state) => states.includes(state)) ?? "closed";
}

/** The state of the breakers from one service to another, over all its sidecars. */
export function between(breakers: Breaker[], from: string, to: string): BreakerState {
  return worst(breakers.filter((each) => each.from === from && each.to === to).map((each) => each.state));
}

/** The share of calls that failed, 0 to 1; undefined without calls. */
export function failing(calls: Calls): number | undefined {
  return calls.rate ? (calls.errors ?? 0) / calls.rate : undefined;
}
