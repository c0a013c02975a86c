import { signIn } from "./source.ts";

/** Asks for an operator's token. */
export function SignIn() {
  const submit = (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    signIn(String(form.get("token") ?? "").trim());
  };
  return (
    <form onSubmit={submit}>
      <p id="why">This is for operators of the shop. Paste an operator's token; it stays in this tab.</p>
      <label for="token">Token</label>
      <textarea id="token" name="token" rows={3} required aria-describedby="why" spellcheck={false} />
      <button type="submit" class="primary">
        Sign in
      </button>
    </form>
  );
}
