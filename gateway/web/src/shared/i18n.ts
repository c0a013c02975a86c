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

/** The language with the reader's country where it is known, so that dates look as they do at home. */
export const region = computed(() => regional(locale.value, navigator.languages));

/** The first of a reader's languages that is a form of *wanted*: en-GB for en. */
export function regional(wanted: Locale, languages: readonly string[]): string {
  return languages.find((tag) => tag.toLowerCase().startsWith(`${wanted}-`)) ?? wanted;
}

/** A moment as people of the language write it: its date, or for one of today its seconds. */
export function time(iso: string | number, seconds = false): string {
  return new Intl.DateTimeFormat(region.value, {
    dateStyle: seconds ? undefined : "medium",
    timeStyle: seconds ? "medium" : "short",
  }).format(new Date(iso));
}
