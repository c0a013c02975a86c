import { useEffect } from "preact/hooks";
import { choose, type Locale, LOCALES, locale } from "../../shared/i18n.ts";
import { Announcer } from "../../shared/announcer.tsx";
import { parts, path } from "../../shared/router.ts";
import { pieces } from "../basket.ts";
import { keepFresh } from "../catalogue.ts";
import { words } from "../words.ts";
import { Account } from "./account.tsx";
import { Basket } from "./basket.tsx";
import { Checkout, OpenIntent } from "./checkout.tsx";
import { OrderView } from "./order.tsx";
import { Orders } from "./orders.tsx";
import { Products, ProductView } from "./products.tsx";

export function App() {
  useEffect(keepFresh, []);
  const messages = words.value;
  const here = parts(path.value).page;
  return (
    <>
      <Announcer />
      <a class="skip" href="#main" onClick={skip}>
        {messages.skip}
      </a>
      <header>
        <a class="brand" href="#/">
          <img src="/icon.svg" alt="" width="28" height="28" />
          {messages.shop}
        </a>
        <Navigation here={here} />
        <Language />
      </header>
      <main id="main" tabIndex={-1} class={here === "/" ? "wide" : undefined}>
        {here !== "/checkout" && <OpenIntent />}
        <Content key={here} here={here} />
      </main>
    </>
  );
}

function Content({ here }: { here: string }) {
  if (/^\/products\/[a-z0-9-]{1,64}$/.test(here)) return <ProductView name={here.slice(1)} />;
  if (here === "/basket") return <Basket />;
  if (here === "/checkout") return <Checkout />;
  if (here === "/orders") return <Orders />;
  if (here === "/account") return <Account />;
  if (/^\/orders\/[0-9a-f-]{36}$/.test(here)) return <OrderView name={here.slice(1)} />;
  return <Products />;
}

function Navigation({ here }: { here: string }) {
  const messages = words.value;
  const count = pieces.value;
  const link = (to: string, text: string, icon: string) => (
    <a href={`#${to}`} class={`to-${icon}`} aria-current={here === to ? "page" : undefined}>
      <Icon name={icon} />
      {text}
    </a>
  );
  return (
    <nav aria-label={messages.mainNavigation}>
      {link("/", messages.products, "shelf")}
      <a
        href="#/basket"
        class="to-basket"
        aria-current={here === "/basket" ? "page" : undefined}
        aria-label={count > 0 ? messages.basketWith(count) : messages.basket}
      >
        <Icon name="basket" />
        {messages.basket} {count > 0 && <span class="pieces">{count}</span>}
      </a>
      {link("/orders", messages.orders, "orders")}
      {link("/account", messages.account, "account")}
    </nav>
  );
}

const ICONS: Record<string, string> = {
  shelf: "M5 5h5v5H5zM14 5h5v5h-5zM5 14h5v5H5zM14 14h5v5h-5z",
  basket: "M4 10h16l-1.6 9H5.6zM8 10l3-5M16 10l-3-5",
  orders: "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6",
  account: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM5 20c1-4 4-5 7-5s6 1 7 5",
};

function Icon({ name }: { name: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

function Language() {
  return (
    <div class="language" role="group" aria-label={words.value.language}>
      {Object.entries(LOCALES).map(([tag, name]) => (
        <button
          type="button"
          key={tag}
          lang={tag}
          aria-pressed={locale.value === tag}
          aria-label={`${tag.toUpperCase()}, ${name}`}
          onClick={() => choose(tag as Locale)}
        >
          {tag.toUpperCase()}
        </button>
      ))}
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
