import { useEffect, useRef, useState } from "preact/hooks";
import type { Product } from "../../api/types.ts";
import { announce } from "../../shared/announce.ts";
import { put, quantityOf } from "../basket.ts";
import { available } from "../catalogue.ts";
import { textOf, words } from "../words.ts";
import { Quantity } from "./quantity.tsx";

// From this many on, a customer need not hurry.
const FEW = 10;

/** Puts a product into the basket, or says how many are there; the focus stays where it is worked with. */
export function Buy({ product }: { product: Product }) {
  const messages = words.value;
  const { title } = textOf(product.name);
  const chosen = quantityOf(product.name);
  // The button and the quantity take each other's place; before the first change nothing takes the focus.
  const [before] = useState({ chosen });
  const changed = before.chosen !== chosen;
  const button = useRef<HTMLButtonElement>(null);
  const was = useRef(chosen);
  useEffect(() => {
    if (was.current > 0 && chosen === 0 && nobodyHasFocus()) button.current?.focus();
    was.current = chosen;
  }, [chosen]);
  const gone = available(product.name) === 0;
  if (gone && chosen === 0) return null;
  if (gone) {
    const remove = () => {
      put(product.name, 0);
      announce(messages.removed(title));
      document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
    };
    return (
      <button type="button" aria-label={messages.removeNamed(title)} onClick={remove}>
        {messages.remove}
      </button>
    );
  }
  if (chosen > 0) return <Quantity product={product.name} name={title} quantity={chosen} takesFocus={changed} />;
  const add = () => {
    before.chosen = 0;
    put(product.name, 1);
    announce(messages.added(title));
  };
  return (
    <button type="button" class="primary" ref={button} aria-label={messages.addNamed(title)} onClick={add}>
      {messages.add}
    </button>
  );
}

/** How many are left, in words. */
export function StockLine({ product }: { product: Product }) {
  const messages = words.value;
  const left = available(product.name);
  if (left === undefined) return <p class="stock muted">{messages.stockUnknown}</p>;
  const kind = left === 0 ? "none" : left < FEW ? "few" : "plenty";
  const text = left === 0 ? messages.soldOut : left < FEW ? messages.fewLeft(left) : messages.inStock(left);
  return <p class={`stock ${kind}`}>{text}</p>;
}

/** Whether what had the focus is no longer there. */
export function nobodyHasFocus(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}
