import type { Status, Violation } from "./types.ts";

// HTTP statuses after which the same request may well succeed.
const PASSING = new Set([0, 408, 429, 499, 500, 502, 503, 504]);
// Reasons that say the same of an otherwise final status: others are at work on the same.
const PASSING_REASONS = new Set(["REQUEST_IN_PROGRESS", "ORDER_BUSY"]);

/** What went wrong with a call, in the API's words; status 0 means that no answer came. */
export class Problem extends Error {
  readonly status: number;
  readonly reason: string;
  readonly violations: Violation[];
  readonly retryAfterMs: number;

  constructor(status: number, body: Status | undefined, retryAfterMs = 0) {
    super(body?.message ?? (status ? `HTTP ${status}` : "no answer"));
    const details = body?.details ?? [];
    this.status = status;
    this.reason = details.find((detail) => detail.reason)?.reason ?? "";
    this.violations = details.flatMap((detail) => detail.violations ?? []);
    this.retryAfterMs = retryAfterMs || delayMs(details.find((detail) => detail.retryDelay)?.retryDelay);
  }

  /** Whether a repeat may succeed. */
  get passing(): boolean {
    return PASSING.has(this.status) || PASSING_REASONS.has(this.reason);
  }

  /** Whether the call may have had its effect although no success was reported. */
  get unclear(): boolean {
    return this.passing && this.status !== 429;
  }
}

/** Milliseconds of a protobuf duration such as "1.5s". */
function delayMs(duration: string | undefined): number {
  const seconds = Number.parseFloat(duration ?? "");
  return Number.isFinite(seconds) ? seconds * 1000 : 0;
}

/** Milliseconds of a Retry-After header that is a number of seconds. */
export function retryAfterMs(header: string | null): number {
  const seconds = Number(header ?? "");
  return header && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : 0;
}
