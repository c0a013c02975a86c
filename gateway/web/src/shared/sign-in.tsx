import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Issuer } from "./oidc.ts";
import { signIn } from "./session.ts";
import { isExpired, subject } from "./token.ts";

export interface SignInWords {
  in: string;
  failed: (why: string) => string;
  developers: string;
  token: string;
  hint: string;
  local: string;
  use: string;
  wrong: string;
}

interface Props {
  messages: SignInWords;
  language: string;
  backTo: string; // a path of this site
  command: string; // what prints a token on one machine
  onSignedIn?: () => void;
}

// At a loopback address it is somebody's own stack, with the development issuer beside it.
const LOCAL = /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);

/** A button that leads to the issuer's sign-in page; without an issuer, or for developers, a token can be pasted. */
export function SignIn({ messages, language, backTo, command, onSignedIn }: Props) {
  const at = useSignal<Issuer | null | undefined>(undefined);
  const wrong = useSignal("");
  useEffect(() => {
    void look();
  }, []);
  const look = async () => {
    try {
      const { issuer } = await import("./oidc.ts");
      at.value = (await issuer()) ?? null;
      wrong.value = "";
    } catch (error) {
      wrong.value = messages.failed(String(error));
    }
  };
  const leave = async () => {
    try {
      if (!at.value) await look();
      const { leave } = await import("./oidc.ts");
      if (at.value) await leave(at.value, backTo, language);
    } catch (error) {
      wrong.value = messages.failed(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <div class="sign-in">
      {at.value !== null && (
        <button type="button" class="primary large" onClick={leave}>
          {messages.in}
        </button>
      )}
      {wrong.value && <p role="alert">{wrong.value}</p>}
      {at.value === null && <Paste messages={messages} command={command} onSignedIn={onSignedIn} />}
      {at.value && LOCAL && (
        <details>
          <summary>{messages.developers}</summary>
          <Paste messages={messages} command={command} onSignedIn={onSignedIn} />
        </details>
      )}
    </div>
  );
}

type PasteProps = Pick<Props, "messages" | "command"> & { onSignedIn: Props["onSignedIn"] };

function Paste({ messages, command, onSignedIn }: PasteProps) {
  const wrong = useSignal(false);
  const submit = (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = String(form.get("token") ?? "").trim();
    wrong.value = !subject(text) || isExpired(text, Date.now());
    if (wrong.value) return;
    signIn(text);
    onSignedIn?.();
  };
  return (
    <form class="card" onSubmit={submit}>
      <label for="token">{messages.token}</label>
      <textarea
        id="token"
        name="token"
        rows={4}
        autoComplete="off"
        spellcheck={false}
        required
        aria-describedby="token-hint"
        aria-invalid={wrong.value}
      />
      <p id="token-hint" class="muted">
        {messages.hint}
      </p>
      {LOCAL && (
        <p class="muted">
          {messages.local} <code>{command}</code>
        </p>
      )}
      {wrong.value && <p role="alert">{messages.wrong}</p>}
      <button type="submit">{messages.use}</button>
    </form>
  );
}
