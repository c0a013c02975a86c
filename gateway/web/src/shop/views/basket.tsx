import { useEffect, useRef } from "preact/hooks";
import { announce } from "../../shared/announce.ts";
import { region } from "../../shared/i18n.ts";
import { format, sum, times } from "../../shared/money.ts";
import { go } from "../../shared/router.ts";
import { basket, put } from "../basket.ts";
import { available, product } from "../catalogue.ts";
import { checkOut, intent } from "../checkout.ts";
import { isOpen } from "../intent.ts";
import { customer } from "../session.ts";
import { words } from "../words.ts";
import { nobodyHasFocus } from "./buy.tsx";
import { type LineShown, Lines } from "./lines.tsx";
import { Page } from "./page.tsx";
import { Onward, Stale } from "./products.tsx";
import { Quantity } from "./quantity.tsx";

export function Basket() {
  const messages = words.value;
  const lines = basket.value.map((line) => ({ ...line, unitPrice: product(line.product)?.unitPrice }));
  const place = useFocusKept(lines.length);
  return (
    <Page title={messages.basket}>
      {lines.length === 0 ? (
        <>
          <p class="empty">{messages.emptyBasket}</p>
          <p>
            <a class="button" href="#/">
              {messages.continue}
            </a>
          </p>
        </>
      ) : (
        <>
          <Stale />
          <div class="card" ref={place}>
            <Lines lines={lines} below={(line, title) => <Short line={line} title={title} />}>
              {(line, title) => <Change line={line} title={title} />}
            </Lines>
            <Sum lines={lines} />
          </div>
          <Place />
          <Onward />
        </>
      )}
    </Page>
  );
}

/** After a line has gone with the focus on it, the next line's button has it, or the heading. */
function useFocusKept(count: number) {
  const place = useRef<HTMLDivElement>(null);
  const before = useRef(count);
  const last = useRef(0);
  useEffect(() => {
    const remember = (event: FocusEvent) => {
      const line = (event.target as Element).closest(".lines > li");
      if (line?.parentElement) last.current = [...line.parentElement.children].indexOf(line);
    };
    document.addEventListener("focusin", remember);
    return () => document.removeEventListener("focusin", remember);
  }, []);
  useEffect(() => {
    if (count < before.current && nobodyHasFocus()) {
      const buttons = place.current?.querySelectorAll<HTMLElement>("button.remove") ?? [];
      const next = buttons[Math.min(last.current, buttons.length - 1)];
      (next ?? document.querySelector<HTMLElement>("h1"))?.focus();
    }
    before.current = count;
  }, [count]);
  return place;
}

function Change({ line, title }: { line: LineShown; title: string }) {
  const messages = words.value;
  const remove = () => {
    put(line.product, 0);
    announce(messages.removed(title));
  };
  return (
    <div class="change">
      <Quantity product={line.product} name={title} quantity={line.quantity} />
      <button type="button" class="quiet remove" aria-label={messages.removeNamed(title)} onClick={remove}>
        {messages.remove}
      </button>
    </div>
  );
}

/** Says that there is less left than the line wants, and offers the rest. */
function Short({ line, title }: { line: LineShown; title: string }) {
  const messages = words.value;
  const left = available(line.product);
  if (left === undefined || left >= line.quantity) return null;
  const take = (event: Event) => {
    // The button goes with what it mends; the line's quantity is where the customer goes on.
    const input = (event.currentTarget as Element).closest("li")?.querySelector<HTMLElement>("input");
    put(line.product, left);
    announce(messages.nowQuantity(title, left));
    input?.focus();
  };
  return (
    <p class="short">
      <strong>{left > 0 ? messages.tooMany(left) : messages.soldOut}</strong>
      {left > 0 && (
        <button type="button" aria-label={`${messages.take(left)}, ${title}`} onClick={take}>
          {messages.take(left)}
        </button>
      )}
    </p>
  );
}

function Sum({ lines }: { lines: LineShown[] }) {
  const total = sum(lines.flatMap((line) => (line.unitPrice ? [times(line.unitPrice, line.quantity)] : [])));
  if (!total || !lines.every((line) => line.unitPrice)) return null;
  return (
    <p class="sum">
      <span>{words.value.total}</span> <strong>{format(total, region.value)}</strong>
    </p>
  );
}

function Place() {
  const messages = words.value;
  const order = () => {
    checkOut();
    go("/checkout");
  };
  if (!customer.value) {
    return (
      <div class="actions">
        <a class="button primary large" href="#/account">
          {messages.signIn.toOrder}
        </a>
      </div>
    );
  }
  // What waits for its answer is this customer's own, and the page about it tells the rest.
  const waits = isOpen(intent.value);
  return (
    <div class="actions">
      {waits ? (
        <a class="button primary large" href="#/checkout">
          {messages.lookAtIntent}
        </a>
      ) : (
        <button type="button" class="primary large" onClick={order}>
          {messages.place}
        </button>
      )}
      <p class="muted">{waits ? messages.openIntent : messages.basketNote}</p>
    </div>
  );
}
