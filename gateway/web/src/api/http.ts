import { Problem, retryAfterMs } from "./problem.ts";
import type { Status } from "./types.ts";

export interface Call {
  method?: "GET" | "POST";
  body?: unknown;
  key?: string; // Idempotency-Key
  token?: string;
  signal?: AbortSignal;
  timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

/** Call the API and return its JSON; throw `Problem` for everything else. */
export async function call<T>(path: string, options: Call = {}): Promise<T> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const answer = await send(path, options, signal, "application/json");
  try {
    return (await answer.json()) as T;
  } catch {
    // The answer broke off: what it would have said is not known.
    throw new Problem(0, undefined);
  }
}

/** Send one request and return the answer if it is a success, its body not read yet. */
export async function send(path: string, options: Call, signal: AbortSignal, accept: string): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: options.method ?? "GET",
      headers: headers(options, accept),
      body: options.body === undefined ? null : JSON.stringify(options.body),
      cache: "no-store",
      signal,
    });
  } catch {
    throw new Problem(0, undefined);
  }
  if (!answer.ok) {
    throw new Problem(answer.status, await status(answer), retryAfterMs(answer.headers.get("retry-after")));
  }
  return answer;
}

function headers(options: Call, accept: string): Record<string, string> {
  const all: Record<string, string> = { accept };
  if (options.body !== undefined) all["content-type"] = "application/json";
  if (options.key) all["idempotency-key"] = options.key;
  if (options.token) all["authorization"] = `Bearer ${options.token}`;
  return all;
}

async function status(answer: Response): Promise<Status | undefined> {
  try {
    return (await answer.json()) as Status;
  } catch {
    return undefined;
  }
}
