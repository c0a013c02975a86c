import { locale } from "../../shared/i18n.ts";
import { go, path } from "../../shared/router.ts";
import { SignIn } from "../../shared/sign-in.tsx";
import { pieces } from "../basket.ts";
import { customer, ended, signOut } from "../session.ts";
import { words } from "../words.ts";
import { Page } from "./page.tsx";

/** Who is shopping, and how to become somebody else. */
export function Account() {
  const messages = words.value;
  if (!customer.value) {
    return (
      <Page title={messages.account}>
        {!ended.value && <p>{messages.signIn.nobody}</p>}
        <SignInHere backTo={pieces.value > 0 ? "/basket" : "/account"} />
      </Page>
    );
  }
  return (
    <Page title={messages.account}>
      <p>{messages.signIn.who(customer.value)}</p>
      <p>
        <button type="button" onClick={() => signOut()}>
          {messages.signIn.out}
        </button>
      </p>
    </Page>
  );
}

/** A page that is for customers only, for somebody who is not signed in (any more). */
export function SignInFirst({ title }: { title: string }) {
  const messages = words.value.signIn;
  return (
    <Page title={title}>
      {!ended.value && <p class="empty">{messages.toSee}</p>}
      <SignInHere backTo={path.value} />
    </Page>
  );
}

/** Why nobody is signed in any more, and the way back; *backTo* is a page of the shop. */
export function SignInHere({ backTo }: { backTo: string }) {
  const messages = words.value.signIn;
  return (
    <>
      {ended.value && (
        <p class="notice" role="alert">
          {messages.ended[ended.value]}
        </p>
      )}
      <SignIn
        messages={messages}
        language={locale.value}
        backTo={`/#${backTo}`}
        command="make -s token CUSTOMER=ana"
        onSignedIn={() => go(backTo)}
      />
    </>
  );
}
