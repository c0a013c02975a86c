// Signing in at an OpenID Connect issuer: authorization code with PKCE (RFC 7636), as a public client.

import * as oauth from "oauth4webapi";
import { call } from "../api/http.ts";
import { load, save } from "./storage.ts";
import { subject } from "./token.ts";

/** Which issuer, and as whom this shop is known there; the pages' server tells (`OIDC_…`). */
export interface Issuer {
  issuer: string;
  clientId: string;
  scope: string;
  discovery: string; // where its metadata is read, if not below `issuer`
}

interface Attempt {
  state: string;
  nonce: string;
  verifier: string;
  backTo: string;
}

// In this tab only: another tab's attempt is another attempt.
const KEY = "shop.signing-in";
const CALLBACK = "/signed-in";
const TIMEOUT_MS = 10_000;

/** The issuer where customers sign in; nothing when the shop has none. */
export async function issuer(): Promise<Issuer | undefined> {
  const found = await call<Partial<Issuer>>("/sign-in.json");
  return found.issuer ? (found as Issuer) : undefined;
}

/** Leave for the issuer's sign-in page; *backTo* is a path of this site, *language* what the page should speak. */
export async function leave(at: Issuer, backTo: string, language: string): Promise<void> {
  const server = await discover(at);
  const verifier = oauth.generateRandomCodeVerifier();
  const attempt = { state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier, backTo };
  if (!server.authorization_endpoint) throw new Error("the issuer has no sign-in page");
  const page = new URL(server.authorization_endpoint);
  const parameters = {
    client_id: at.clientId,
    redirect_uri: callback(),
    response_type: "code",
    scope: at.scope,
    state: attempt.state,
    nonce: attempt.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ui_locales: language,
  };
  for (const [name, value] of Object.entries(parameters)) page.searchParams.set(name, value);
  if (!save(KEY, attempt, sessionStorage)) throw new Error("this browser keeps nothing, which signing in needs");
  location.assign(page);
}

/** What came back from the issuer: the token, and where the visitor wants to go on. */
export async function arrive(at: Issuer): Promise<{ token: string; backTo: string }> {
  const attempt = load<Attempt | undefined>(KEY, undefined, sessionStorage);
  save(KEY, undefined, sessionStorage);
  if (!attempt) throw new Error("nobody began to sign in here");
  const server = await discover(at);
  const client = { client_id: at.clientId };
  const answer = oauth.validateAuthResponse(server, client, new URL(location.href), attempt.state);
  const got = await oauth.processAuthorizationCodeResponse(
    server,
    client,
    await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), answer, callback(), attempt.verifier, options()),
    { expectedNonce: attempt.nonce, requireIdToken: true },
  );
  if (!subject(got.access_token)) throw new Error("the issuer's access token names nobody");
  return { token: got.access_token, backTo: ownPath(attempt.backTo) };
}

/** *path* if it leads to this site, else the start page. */
export function ownPath(path: string): string {
  return /^\/(?![/\\])/.test(path) ? path : "/";
}

async function discover(at: Issuer): Promise<oauth.AuthorizationServer> {
  const where = new URL(at.discovery || `${at.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, location.href);
  const answer = await fetch(where, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { accept: "application/json" } });
  return oauth.processDiscoveryResponse(new URL(at.issuer), answer);
}

function options() {
  // The library knows no loopback address, where a stack of one's own answers without TLS.
  return { signal: () => AbortSignal.timeout(TIMEOUT_MS), [oauth.allowInsecureRequests]: location.protocol === "http:" };
}

function callback(): string {
  return new URL(CALLBACK, location.origin).href;
}
