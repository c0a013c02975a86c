import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { announce } from "../../shared/announce.ts";
import { Notice } from "../../shared/announcer.tsx";
import { go } from "../../shared/router.ts";
import { askNow, dismiss, intent, others, repeat, trying } from "../checkout.ts";
import type { Intent, OpenPhase } from "../intent.ts";
import { isOpen, mayBePlaced, shortages } from "../intent.ts";
import { customer } from "../session.ts";
import { textOf, words } from "../words.ts";
import { SignInHere } from "./account.tsx";
import { Lines } from "./lines.tsx";
import { Page } from "./page.tsx";

/** Where an intent stands: being sent, not known yet, refused. */
export function Checkout() {
  const now = intent.value;
  const order = now?.phase === "accepted" ? now.order : undefined;
  useEffect(() => {
    if (!order) return;
    go(`/${order}`, true);
    dismiss();
  }, [order]);
  if (!now || order) return <Page title={words.value.checkout.title}>{!now && <Others />}</Page>;
  if (now.phase === "unsigned") return <Unsigned intent={now} />;
  if (now.phase === "refused") return <Refused intent={now} />;
  if (now.phase === "expired") return <Expired />;
  return <Open intent={now} />;
}

/** What others have begun on this device; whose it is may sign in and go on, and may give it up. */
function Others() {
  const messages = words.value;
  const [newest] = others.value;
  if (!newest) {
    return (
      <>
        <p>{messages.checkout.none}</p>
        <p>
          <a class="button" href="#/orders">
            {messages.allOrders}
          </a>
        </p>
      </>
    );
  }
  return (
    <>
      {others.value.map((each) => (
        <Theirs key={each.key} intent={each} />
      ))}
      {!customer.value && <SignInHere backTo="/checkout" />}
    </>
  );
}

function Theirs({ intent }: { intent: Intent }) {
  const messages = words.value.checkout;
  const unclear = mayBePlaced(intent) || isOpen(intent);
  return (
    <section class={`card verdict ${unclear ? "unknown" : "refused"}`}>
      <h2>{unclear ? messages.unknown : messages.refused}</h2>
      <p>{unclear ? messages.otherCustomer(intent.customer) : messages.unsignedOf(intent.customer)}</p>
      <p>
        <button type="button" class="quiet" onClick={() => dismiss(intent.customer)}>
          {messages.giveUp}
        </button>
      </p>
    </section>
  );
}

/** The token was refused, and its customer has signed in again since. */
function Unsigned({ intent }: { intent: Intent }) {
  const messages = words.value;
  const unclear = mayBePlaced(intent);
  const leave = () => {
    go("/basket", true);
    dismiss();
  };
  return (
    <Page title={messages.checkout.title}>
      <section class={`card verdict ${unclear ? "unknown" : "refused"}`}>
        <h2>{unclear ? messages.checkout.unknown : messages.checkout.refused}</h2>
        <p>{unclear ? messages.checkout.unclearText : messages.checkout.unsignedText}</p>
      </section>
      <div class="actions">
        <button type="button" class="primary" onClick={repeat}>
          {unclear ? messages.checkout.askAgain : messages.place}
        </button>
        <button type="button" class="quiet" onClick={leave}>
          {messages.checkout.giveUp}
        </button>
      </div>
      <h2>{messages.checkout.what}</h2>
      <div class="card">
        <Lines lines={intent.lines} />
      </div>
    </Page>
  );
}

function Open({ intent }: { intent: Intent }) {
  const messages = words.value.checkout;
  const phase = intent.phase as OpenPhase;
  useEffect(() => announce(`${messages[phase]}. ${messages[`${phase}Text`]}`), [phase]);
  return (
    <Page title={messages.title}>
      <section class={`card verdict ${phase}`}>
        <Spinner />
        <h2>{messages[phase]}</h2>
        <p>{messages[`${phase}Text`]}</p>
      </section>
      {phase !== "sending" && <Asking intent={intent} />}
      <h2>{messages.what}</h2>
      <div class="card">
        <Lines lines={intent.lines} />
      </div>
    </Page>
  );
}

function Asking({ intent }: { intent: Intent }) {
  const messages = words.value.checkout;
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      now.value = Date.now();
    }, 500);
    return () => clearInterval(timer);
  }, []);
  const seconds = trying.value ? 0 : Math.max(0, Math.ceil((intent.nextTryMs - now.value) / 1000));
  return (
    <div class="actions">
      <button type="button" aria-disabled={trying.value} onClick={() => trying.value || askNow()}>
        {messages.askNow}
      </button>
      <p class="muted">
        {intent.failures > 0 && messages.tried(intent.failures)} {messages.next(seconds)}
      </p>
    </div>
  );
}

function Refused({ intent }: { intent: Intent }) {
  const messages = words.value;
  const { refusal } = intent;
  const missing = shortages(intent);
  const leave = () => {
    go("/basket", true);
    dismiss();
  };
  return (
    <Page title={messages.checkout.title}>
      <section class="card verdict refused" role="alert">
        <h2>{messages.checkout.refused}</h2>
        {missing.length > 0 ? (
          <>
            <p>{messages.checkout.outOfStock}</p>
            <ul>
              {missing.map((each) => (
                <li key={each.product}>
                  <span lang={textOf(each.product).lang}>{textOf(each.product).title}</span> – {messages.available(each.left)}
                </li>
              ))}
            </ul>
          </>
        ) : (
          <p>{(refusal && messages.reasons[refusal.reason]) ?? refusal?.message}</p>
        )}
        <p>{messages.checkout.refusedText}</p>
      </section>
      <p>
        <button type="button" class="primary" onClick={leave}>
          {messages.checkout.back}
        </button>
      </p>
    </Page>
  );
}

function Expired() {
  const messages = words.value;
  const leave = () => {
    go("/orders", true);
    dismiss();
  };
  return (
    <Page title={messages.checkout.title}>
      <section class="card verdict refused" role="alert">
        <h2>{messages.checkout.expired}</h2>
        <p>{messages.checkout.expiredText}</p>
      </section>
      <p>
        <button type="button" class="primary" onClick={leave}>
          {messages.allOrders}
        </button>
      </p>
    </Page>
  );
}

function Spinner() {
  return <span class="spinner" aria-hidden="true" />;
}

/** Reminds, on every other page, of an intent without an answer, or tells that there is one. */
export function OpenIntent() {
  const messages = words.value;
  // Somebody else's is nothing to whoever has signed in.
  const shown = intent.value ?? (customer.value ? undefined : others.value[0]);
  if (!shown) return null;
  const open = isOpen(shown) || shown.phase === "unsigned";
  return (
    <Notice text={open ? messages.openIntent : messages.answeredIntent}>
      <a href="#/checkout">{messages.lookAtIntent}</a>
    </Notice>
  );
}
