// What products are called in the page's language; the catalogue itself is in English.

import type { Product } from "../api/types.ts";
import type { Locale } from "../shared/i18n.ts";

interface Text {
  title: string;
  description: string;
}

const es: Record<string, Text> = {
  "products/beeswax-candle": { title: "Vela de cera de abeja", description: "Arde 40 horas y huele a verano." },
  "products/bread-knife": {
    title: "Cuchillo de pan",
    description: "Hoja de sierra de 22 cm con mango de madera de ciruelo.",
  },
  "products/coffee-grinder": {
    title: "Molinillo de café",
    description: "Molinillo de mano con muelas de acero, para 30 g cada vez.",
  },
  "products/enamel-mug": { title: "Taza esmaltada", description: "De 0,35 l; resiste una hoguera." },
  "products/field-notebook": {
    title: "Cuaderno de campo",
    description: "96 páginas cuadriculadas que aguantan lluvia y lápiz.",
  },
  "products/linen-towel": { title: "Toalla de lino", description: "50 por 70 cm, más suave con cada lavado." },
  "products/olive-oil": { title: "Aceite de oliva", description: "Medio litro, prensado en frío en noviembre pasado." },
  "products/table-lamp": {
    title: "Lámpara de mesa",
    description: "De latón y vidrio opalino; se regula con un toque.",
  },
  "products/tea-kettle": { title: "Tetera", description: "Con base de cobre, de 1,2 l; silba afinada." },
  "products/wool-blanket": { title: "Manta de lana", description: "140 por 200 cm de merino sin teñir." },
};

/** A product's name and description in a language, and their own language where it is another. */
export function textIn(
  locale: Locale,
  name: string,
  listed: Pick<Product, "displayName" | "description"> | undefined,
): Text & { lang: "en" | undefined } {
  const translated = locale === "es" ? es[name] : undefined;
  if (translated) return { ...translated, lang: undefined };
  return {
    title: listed?.displayName ?? name.replace(/^products\//, "").replaceAll("-", " "),
    description: listed?.description ?? "",
    lang: locale === "en" ? undefined : "en",
  };
}
