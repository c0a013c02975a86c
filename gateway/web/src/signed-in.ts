// Where the issuer sends back whoever has signed in: takes the token and goes on to where they came from.

import "./styles.css";
import { locale } from "./shared/i18n.ts";
import { arrive, issuer } from "./shared/oidc.ts";
import { signIn } from "./shared/session.ts";

const WORDS = {
  en: { failed: "Signing in did not work", back: "Back to the shop" },
  es: { failed: "No ha sido posible identificarse", back: "Volver a la tienda" },
};

try {
  const at = await issuer();
  if (!at) throw new Error("the shop has no issuer");
  const { token, backTo } = await arrive(at);
  signIn(token);
  // Without a step back to here: the code in this address is used.
  location.replace(backTo);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}

function fail(why: string): void {
  const messages = WORDS[locale.value];
  // Reloading cannot help: the code is used or wrong.
  history.replaceState(null, "", "/signed-in");
  document.title = messages.failed;
  const main = document.querySelector("main");
  main?.replaceChildren(text("h1", messages.failed), text("p", why), link(messages.back));
}

function text(tag: string, content: string): HTMLElement {
  return Object.assign(document.createElement(tag), { textContent: content });
}

function link(content: string): HTMLElement {
  return Object.assign(document.createElement("a"), { href: "/#/account", textContent: content });
}
