import { useEffect, useRef } from "preact/hooks";
import { announce } from "../../shared/announce.ts";
import { put, MAX_QUANTITY } from "../basket.ts";
import { available } from "../catalogue.ts";
import { words } from "../words.ts";

interface Props {
  product: string;
  name: string;
  quantity: number;
  takesFocus?: boolean; // when it comes in the place of what had the focus
}

/** How many of a product are in the basket, and one more or less. */
export function Quantity({ product, name, quantity, takesFocus = false }: Props) {
  const messages = words.value;
  const more = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (takesFocus) more.current?.focus();
  }, []);
  const set = (wanted: number) => {
    put(product, wanted);
    announce(wanted < 1 ? messages.removed(name) : messages.nowQuantity(name, Math.min(MAX_QUANTITY, Math.trunc(wanted))));
  };
  const type = (event: Event) => {
    const typed = Number((event.currentTarget as HTMLInputElement).value);
    if (Number.isFinite(typed)) set(typed);
  };
  const most = Math.min(MAX_QUANTITY, available(product) ?? MAX_QUANTITY);
  const full = quantity >= most;
  return (
    <div class="quantity" role="group" aria-label={messages.quantityOf(name)}>
      <button type="button" aria-label={messages.one.less(name)} onClick={() => set(quantity - 1)}>
        −
      </button>
      <input
        type="number"
        inputMode="numeric"
        min="0"
        max={MAX_QUANTITY}
        value={quantity}
        aria-label={messages.quantityOf(name)}
        onChange={type}
      />
      {/* Not disabled: that would take the focus away from whoever has just pressed it. */}
      <button
        type="button"
        ref={more}
        aria-label={messages.one.more(name)}
        aria-disabled={full}
        onClick={() => (full ? announce(messages.noMore(name, most)) : set(quantity + 1))}
      >
        +
      </button>
    </div>
  );
}
