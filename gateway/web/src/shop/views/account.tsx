import { useSignal } from "@preact/signals";
import { go } from "../../shared/router.ts";
import { isExpired, subject } from "../../shared/token.ts";
import { pieces } from "../basket.ts";
import { customer, signIn } from "../session.ts";
import { words } from "../words.ts";
import { Page } from "./page.tsx";

// A shop at a loopback address is somebody's own stack, with the development issuer beside it.
const LOCAL = /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);

/** Who is shopping, and how to become somebody else. */
export function Account() {
  const said = words.value;
  const named = customer.value !== "";
  return (
    <Page title={said.account}>
      <p>{named ? said.signIn.who(customer.value) : said.signIn.nobody}</p>
      {named ? (
        <p>
          <button type="button" onClick={() => signIn("")}>
            {said.signIn.out}
          </button>
        </p>
      ) : (
        <SignIn />
      )}
    </Page>
  );
}

function SignIn() {
  const said = words.value.signIn;
  const wrong = useSignal(false);
  const submit = (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = String(form.get("token") ?? "").trim();
    wrong.value = !subject(text) || isExpired(text, Date.now());
    if (wrong.value) return;
    signIn(text);
    // Back to what signing in was for.
    if (pieces.value > 0) go("/basket");
  };
  return (
    <form class="card" onSubmit={submit}>
      <label for="token">{said.token}</label>
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
        {said.hint}
      </p>
      {LOCAL && (
        <p class="muted">
          {said.local} <code>make -s token CUSTOMER=ana</code>
        </p>
      )}
      {wrong.value && <p role="alert">{said.wrong}</p>}
      <button type="submit" class="primary">
        {said.in}
      </button>
    </form>
  );
}
