import type { Money } from "../api/types.ts";

const NANOS = 1_000_000_000n;

/** An amount in billionths of its currency's unit. */
export function nanos(money: Money): bigint {
  return BigInt(money.units ?? "0") * NANOS + BigInt(money.nanos ?? 0);
}

/** *quantity* times a price. */
export function times(money: Money, quantity: number): Money {
  return of(nanos(money) * BigInt(quantity), money.currencyCode);
}

/** The sum of amounts of one currency; nothing when there are none or several currencies. */
export function sum(amounts: Money[]): Money | undefined {
  const currency = amounts[0]?.currencyCode;
  if (!currency || amounts.some((money) => money.currencyCode !== currency)) return undefined;
  return of(amounts.reduce((total, money) => total + nanos(money), 0n), currency);
}

/** An amount as people of a language write it. */
export function format(money: Money, locale: string): string {
  const amount = Number(nanos(money)) / Number(NANOS);
  return new Intl.NumberFormat(locale, { style: "currency", currency: money.currencyCode }).format(amount);
}

function of(total: bigint, currencyCode: string): Money {
  return { currencyCode, units: (total / NANOS).toString(), nanos: Number(total % NANOS) };
}
