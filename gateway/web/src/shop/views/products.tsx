import { quantityOf, put } from "../basket.ts";
import { catalogue, looked, stale } from "../catalogue.ts";
import { region, time } from "../../shared/i18n.ts";
import { format } from "../../shared/money.ts";
import { words } from "../words.ts";
import type { Product } from "../../api/types.ts";
import { Art } from "./art.tsx";
import { Page } from "./page.tsx";
import { Quantity } from "./quantity.tsx";

// From this many on, a customer need not hurry.
const FEW = 10;

export function Products() {
  const said = words.value;
  const { products, seenMs } = catalogue.value;
  return (
    <Page title={said.products} lead={said.tagline}>
      {stale.value && products.length > 0 && (
        <p class="notice" role="status">
          {said.stale(time(seenMs, true))}
        </p>
      )}
      {products.length === 0 && <p role="status">{looked.value ? said.noProducts : said.loading}</p>}
      <ul class="products">
        {products.map((product) => (
          <Card key={product.name} product={product} />
        ))}
      </ul>
    </Page>
  );
}

function Card({ product }: { product: Product }) {
  const said = words.value;
  const chosen = quantityOf(product.name);
  const title = product.displayName;
  return (
    <li class="card product">
      <Art product={product.name} title={title} />
      <h2 lang="en">{title}</h2>
      <p class="muted description" lang="en">
        {product.description}
      </p>
      <p class="price">{format(product.unitPrice, region.value)}</p>
      <StockLine product={product} />
      {chosen > 0 ? (
        <Quantity product={product.name} name={title} quantity={chosen} />
      ) : (
        <button
          type="button"
          class="primary"
          disabled={available(product) === 0 && !stale.value}
          aria-label={said.addNamed(title)}
          onClick={() => put(product.name, 1)}
        >
          {said.add}
        </button>
      )}
    </li>
  );
}

function StockLine({ product }: { product: Product }) {
  const said = words.value;
  const left = available(product);
  if (left === undefined) return <p class="stock muted">{said.stockUnknown}</p>;
  const kind = left === 0 ? "none" : left < FEW ? "few" : "plenty";
  const text = left === 0 ? said.soldOut : left < FEW ? said.fewLeft(left) : said.inStock(left);
  return <p class={`stock ${kind}`}>{text}</p>;
}

function available(product: Product): number | undefined {
  return product.stock ? Number(product.stock.available) : undefined;
}
