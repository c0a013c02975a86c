import { computed, effect, signal } from "@preact/signals";
import { load, save } from "./storage.ts";

export type Locale = "en" | "es";
export const LOCALES: Record<Locale, string> = { en: "English", es: "Español" };

const KEY = "shop.locale";

export const locale = signal<Locale>(load<Locale>(KEY, preferred(navigator.languages)));

effect(() => {
  document.documentElement.lang = locale.value;
});

/** Show another language, now and next time. */
export function choose(wanted: Locale): void {
  locale.value = wanted;
  save(KEY, wanted);
}

/** The messages of the language that is shown; *of* has one set for each. */
export function messages<Messages>(of: Record<Locale, Messages>): { readonly value: Messages } {
  return computed(() => of[locale.value]);
}

/** The first of a reader's languages that there is. */
export function preferred(languages: readonly string[]): Locale {
  const found = languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LOCALES);
  return (found as Locale | undefined) ?? "en";
}

/** A moment as people of the language write it, with the seconds where they matter. */
export function time(iso: string | number, seconds = false): string {
  return new Intl.DateTimeFormat(locale.value, {
    dateStyle: seconds ? undefined : "medium",
    timeStyle: seconds ? "medium" : "short",
  }).format(new Date(iso));
}
