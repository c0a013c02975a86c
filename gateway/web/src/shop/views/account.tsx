import { locale } from "../../shared/i18n.ts";
import { go, path } from "../../shared/router.ts";
import { SignIn } from "../../shared/sign-in.tsx";
import { pieces } from "../basket.ts";
import { customer, ended, signOut } from "../session.ts";
import { words } from "../words.ts";
import { Page } from "./page.tsx";

/** Who is shopping, and how to become somebody else. */
export function Account() {
  const said = words.value;
  if (!customer.value) {
    return (
      <Page title={said.account}>
        {!ended.value && <p>{said.signIn.nobody}</p>}
        <SignInHere backTo={pieces.value > 0 ? "/basket" : "/account"} />
      </Page>
    );
  }
  return (
    <Page title={said.account}>
      <p>{said.signIn.who(customer.value)}</p>
      <p>
        <button type="button" onClick={() => signOut()}>
          {said.signIn.out}
        </button>
      </p>
    </Page>
  );
}

/** A page that is for customers only, for somebody who is not signed in (any more). */
export function SignInFirst({ title }: { title: string }) {
  const said = words.value.signIn;
  return (
    <Page title={title}>
      {!ended.value && <p class="empty">{said.toSee}</p>}
      <SignInHere backTo={path.value} />
    </Page>
  );
}

/** Why nobody is signed in any more, and the way back; *backTo* is a page of the shop. */
export function SignInHere({ backTo }: { backTo: string }) {
  const said = words.value.signIn;
  return (
    <>
      {ended.value && (
        <p class="notice" role="alert">
          {said.ended[ended.value]}
        </p>
      )}
      <SignIn
        said={said}
        language={locale.value}
        backTo={`/#${backTo}`}
        command="make -s token CUSTOMER=ana"
        onSignedIn={() => go(backTo)}
      />
    </>
  );
}
