import type { Product } from "../../api/types.ts";
import { Notice } from "../../shared/announcer.tsx";
import { region, time } from "../../shared/i18n.ts";
import { format } from "../../shared/money.ts";
import { catalogue, looked, product as known, stale } from "../catalogue.ts";
import { textOf, words } from "../words.ts";
import { Art } from "./art.tsx";
import { Buy, StockLine } from "./buy.tsx";
import { Page } from "./page.tsx";

/** Everything that is sold. */
export function Products() {
  const messages = words.value;
  const { products } = catalogue.value;
  return (
    <Page title={messages.products} lead={messages.tagline} keepsPlace>
      <Stale />
      {products.length === 0 && <p>{looked.value ? messages.noProducts : messages.loading}</p>}
      <ul class="products">
        {products.map((product) => (
          <Card key={product.name} product={product} />
        ))}
      </ul>
    </Page>
  );
}

/** One product, at an address of its own. */
export function ProductView({ name }: { name: string }) {
  const messages = words.value;
  const product = known(name);
  if (!product) {
    return (
      <Page title={messages.products}>
        <p>{looked.value ? (stale.value ? messages.noProducts : messages.noSuchProduct) : messages.loading}</p>
        <Onward />
      </Page>
    );
  }
  const { title, description, lang } = textOf(name);
  return (
    <Page title={title} lang={lang}>
      <Stale />
      <div class="one-product">
        <Art product={product.name} title={title} />
        <div class="facts">
          <p lang={lang}>{description}</p>
          <p class="price">{format(product.unitPrice, region.value)}</p>
          <StockLine product={product} />
          <Buy product={product} />
          <Onward />
        </div>
      </div>
    </Page>
  );
}

/** The way back to everything that is sold. */
export function Onward() {
  return (
    <p>
      <a href="#/">{words.value.continue}</a>
    </p>
  );
}

/** Says that prices and stock may have changed since. */
export function Stale() {
  const { products, seenMs } = catalogue.value;
  return stale.value && products.length > 0 ? <Notice text={words.value.stale(time(seenMs, Date.now() - seenMs < DAY_MS))} /> : null;
}

const DAY_MS = 24 * 3600 * 1000;

function Card({ product }: { product: Product }) {
  const { title, description, lang } = textOf(product.name);
  return (
    <li class="card product">
      <Art product={product.name} title={title} />
      <h2 lang={lang}>
        <a href={`#/${product.name}`}>{title}</a>
      </h2>
      <p class="muted description" lang={lang}>
        {description}
      </p>
      <p class="price">{format(product.unitPrice, region.value)}</p>
      <StockLine product={product} />
      <Buy product={product} />
    </li>
  );
}
