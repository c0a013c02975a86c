import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { subject } from "../shared/token.ts";
import { curl, type Document, type Endpoint, endpoints, example, fill, type Parameter } from "./openapi.ts";

// Long enough for a slow answer; a watched order is cut here.
const WAIT_MS = 20_000;
const SHOWN_CHARACTERS = 20_000;

const described = signal<Document | undefined>(undefined);
const problem = signal("");
// In memory only: a token must not outlive the page that it was pasted into.
const token = signal("");

/** Read the document that the page is about. */
export async function read(): Promise<void> {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    described.value = (await response.json()) as Document;
  } catch (error) {
    problem.value = `openapi.json cannot be read: ${String(error)}`;
  }
}

/** The whole page. */
export function Docs() {
  const document = described.value;
  return (
    <>
      <a class="skip" href="#operations">Skip to the operations</a>
      <header>
        <h1>The shop's API</h1>
        <Text of={document?.info.description} />
        <p>
          Described in <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).
        </p>
        <Token />
      </header>
      <main id="operations" tabIndex={-1}>
        {problem.value && <p class="notice" role="alert">{problem.value}</p>}
        {document?.tags.map((tag) => (
          <section key={tag.name}>
            <h2>{tag.name}</h2>
            <p class="muted">{tag.description.split("\n\n")[0]}</p>
            {endpoints(document, tag.name).map((each) => <OneEndpoint key={each.operation.operationId} endpoint={each} />)}
          </section>
        ))}
      </main>
    </>
  );
}

/** Paragraphs, with what the contract puts between backticks set as code. */
function Text({ of }: { of: string | undefined }) {
  return <>{of?.split("\n\n").map((text) => <p key={text}><Words of={text} /></p>)}</>;
}

function Words({ of }: { of: string }) {
  return <>{of.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

function Token() {
  const customer = token.value ? subject(token.value) : undefined;
  return (
    <Field label="Token (optional; who you are is in it)">
      <input
        type="password"
        autocomplete="off"
        value={token.value}
        onInput={(event) => (token.value = event.currentTarget.value.trim())}
      />
      <span class="muted" role="status">
        {token.value === "" ? "You are anonymous." : customer ? `You are ${customer}.` : "This is no token."}
      </span>
    </Field>
  );
}

function OneEndpoint({ endpoint }: { endpoint: Endpoint }) {
  const open = useSignal(false);
  const { verb, path, operation } = endpoint;
  return (
    <details class="card" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>
        <span class={`badge ${verb.toLowerCase()}`}>{verb}</span> <code>{path}</code> <span>{operation.summary}</span>
      </summary>
      {open.value && <Try endpoint={endpoint} />}
    </details>
  );
}

interface Answer {
  line: string;
  headers: string;
  body: string;
}

function Try({ endpoint }: { endpoint: Endpoint }) {
  const { operation, verb } = endpoint;
  const values = useSignal<Record<string, string>>(first(operation.parameters));
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const wanted = schema && described.value ? example(described.value, schema) : undefined;
  const body = useSignal(wanted === undefined ? undefined : JSON.stringify(wanted, null, 2));
  const answer = useSignal<Answer | undefined>(undefined);
  const busy = useSignal(false);

  const filled = fill(endpoint, values.value);
  if (token.value) filled.headers["authorization"] = `Bearer ${token.value}`;
  if (body.value !== undefined) filled.headers["content-type"] = "application/json";

  async function send(event: Event) {
    event.preventDefault();
    busy.value = true;
    answer.value = await sent(verb, filled.url, filled.headers, body.value);
    busy.value = false;
  }

  return (
    <form onSubmit={(event) => void send(event)}>
      <Text of={operation.description} />
      {operation.parameters.map((parameter) => (
        <Field key={parameter.name} label={`${parameter.name} (${parameter.in}${parameter.required ? ", required" : ""})`}>
          <input
            value={values.value[parameter.name] ?? ""}
            required={parameter.required}
            onInput={(event) => (values.value = { ...values.value, [parameter.name]: event.currentTarget.value })}
          />
          <span class="muted"><Words of={parameter.description ?? ""} /></span>
        </Field>
      ))}
      {body.value !== undefined && (
        <Field label="Body">
          <textarea rows={8} spellcheck={false} value={body.value} onInput={(event) => (body.value = event.currentTarget.value)} />
        </Field>
      )}
      <pre>{curl(location.origin, verb, filled, body.value)}</pre>
      {token.value && <p class="muted"><Words of="In the shell `TOKEN` is the token alone: `TOKEN=eyJ…`" /></p>}
      <button class="primary" disabled={busy.value}>{busy.value ? "Sending…" : "Send"}</button>
      <div role="status">{answer.value && <Shown answer={answer.value} />}</div>
      <Responses endpoint={endpoint} />
    </form>
  );
}

function Shown({ answer }: { answer: Answer }) {
  return (
    <div class="answer">
      <p><strong>{answer.line}</strong></p>
      <pre>{answer.headers}</pre>
      <pre>{answer.body}</pre>
    </div>
  );
}

function Responses({ endpoint }: { endpoint: Endpoint }) {
  const shared = described.value?.components.responses ?? {};
  return (
    <details>
      <summary>Answers</summary>
      <dl>
        {Object.entries(endpoint.operation.responses).map(([code, response]) => (
          <div key={code}>
            <dt>{code}</dt>
            <dd>{response.description ?? shared[code]?.description}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label>
      <span>{label}</span>
      {children}
    </label>
  );
}

/** A new key for each intent, so that a first try just works. */
function first(parameters: Parameter[]): Record<string, string> {
  const keyed = parameters.filter(({ name }) => name === "Idempotency-Key");
  return Object.fromEntries(keyed.map(({ name }) => [name, crypto.randomUUID?.() ?? String(Date.now())]));
}

async function sent(method: string, url: string, headers: Record<string, string>, body?: string): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(WAIT_MS);
    const response = await fetch(url, { method, headers, signal, ...(body === undefined ? {} : { body }) });
    return {
      line: `${response.status} ${response.statusText}`,
      headers: [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n"),
      body: pretty(await response.text()),
    };
  } catch (error) {
    return { line: "No answer", headers: "", body: String(error) };
  }
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).slice(0, SHOWN_CHARACTERS);
  } catch {
    return text.slice(0, SHOWN_CHARACTERS);
  }
}
