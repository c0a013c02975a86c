import { put, QUANTITY_LIMIT } from "../basket.ts";
import { words } from "../words.ts";

interface Props {
  product: string;
  name: string;
  quantity: number;
}

/** How many of a product are in the basket, and one more or less. */
export function Quantity({ product, name, quantity }: Props) {
  const { one, quantityOf } = words.value;
  const type = (event: Event) => {
    const typed = Number((event.currentTarget as HTMLInputElement).value);
    put(product, Number.isFinite(typed) ? typed : quantity);
  };
  return (
    <div class="quantity" role="group" aria-label={quantityOf(name)}>
      <button type="button" aria-label={one.less(name)} onClick={() => put(product, quantity - 1)}>
        −
      </button>
      <input
        type="number"
        inputMode="numeric"
        min="0"
        max={QUANTITY_LIMIT}
        value={quantity}
        aria-label={quantityOf(name)}
        onChange={type}
      />
      <button
        type="button"
        aria-label={one.more(name)}
        disabled={quantity >= QUANTITY_LIMIT}
        onClick={() => put(product, quantity + 1)}
      >
        +
      </button>
    </div>
  );
}
