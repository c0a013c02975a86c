// Numbers as operators read them.

const NONE = "–";

/** A count or a rate, short: 0, 0.42, 12, 1.3k. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  if (Math.abs(value) >= 10_000) return `${(value / 1000).toFixed(0)}k`;
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 1 ? 1 : 2);
}

/** A share of one: 0%, 0.3%, 12%. */
export function share(value: number | undefined): string {
  if (value === undefined) return NONE;
  const percent = value * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : percent.toFixed(0)}%`;
}

/** Milliseconds: 4.2 ms, 310 ms, 2.5 s. */
export function ms(value: number | undefined): string {
  if (value === undefined) return NONE;
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${number(value)} ms`;
}

/** A duration in seconds: 4 s, 3 min, 2 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 120) return `${number(Math.round(seconds * 10) / 10)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** The day and the time of a moment in ISO 8601, to the second. */
export function moment(at: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));
}

/** The time of day of a moment in seconds since 1970. */
export function clock(at: number): string {
  return new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(new Date(at * 1000));
}
