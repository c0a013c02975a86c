// Reads what a JSON Web Token says, for display only: the edge alone decides whether it is true.

interface Claims {
  sub?: unknown;
  exp?: unknown;
}

/** Whom the token names; nothing when the text is no token. */
export function subject(token: string): string | undefined {
  const sub = claims(token)?.sub;
  return typeof sub === "string" && sub ? sub : undefined;
}

/** Whether the token's time is over. */
export function isExpired(token: string, nowMs: number): boolean {
  const exp = claims(token)?.exp;
  return typeof exp === "number" && exp * 1000 <= nowMs;
}

/** How long the token is still good; without an end, for ever. */
export function millisecondsLeft(token: string, nowMs: number): number {
  const exp = claims(token)?.exp;
  return typeof exp === "number" ? Math.max(0, exp * 1000 - nowMs) : Number.POSITIVE_INFINITY;
}

function claims(token: string): Claims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  try {
    const base64 = (parts[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Claims;
  } catch {
    return undefined;
  }
}
