import { region } from "../../shared/i18n.ts";
import { format, sum, times } from "../../shared/money.ts";
import { go } from "../../shared/router.ts";
import { basket, put } from "../basket.ts";
import { product } from "../catalogue.ts";
import { checkOut, intent } from "../checkout.ts";
import { isOpen } from "../intent.ts";
import { customer } from "../session.ts";
import { words } from "../words.ts";
import { Lines } from "./lines.tsx";
import { Page } from "./page.tsx";
import { Quantity } from "./quantity.tsx";

export function Basket() {
  const said = words.value;
  const lines = basket.value.map((line) => ({ ...line, unitPrice: product(line.product)?.unitPrice }));
  if (lines.length === 0) {
    return (
      <Page title={said.basket}>
        <p class="empty">{said.emptyBasket}</p>
        <p>
          <a class="button" href="#/">
            {said.lookAround}
          </a>
        </p>
      </Page>
    );
  }
  const total = sum(lines.flatMap((line) => (line.unitPrice ? [times(line.unitPrice, line.quantity)] : [])));
  const complete = lines.every((line) => line.unitPrice);
  const order = () => {
    checkOut();
    go("/checkout");
  };
  return (
    <Page title={said.basket}>
      <div class="card">
        <Lines lines={lines}>
          {(line, title) => (
            <div class="change">
              <Quantity product={line.product} name={title} quantity={line.quantity} />
              <button
                type="button"
                class="quiet"
                aria-label={said.removeNamed(title)}
                onClick={() => put(line.product, 0)}
              >
                {said.remove}
              </button>
            </div>
          )}
        </Lines>
        {total && complete && (
          <p class="sum">
            <span>{said.total}</span> <strong>{format(total, region.value)}</strong>
          </p>
        )}
      </div>
      <div class="actions">
        {customer.value ? (
          <button type="button" class="primary large" disabled={isOpen(intent.value)} onClick={order}>
            {said.place}
          </button>
        ) : (
          <a class="button primary large" href="#/account">
            {said.signIn.toOrder}
          </a>
        )}
        <p class="muted">{said.basketNote}</p>
      </div>
    </Page>
  );
}
