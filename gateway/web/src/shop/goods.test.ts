import assert from "node:assert/strict";
import { test } from "node:test";
import { textIn } from "./goods.ts";

const mug = { displayName: "Enamel mug", description: "Holds 0.35 l." };
const hat = { displayName: "Straw hat", description: "For the garden." };

test("a product is called by its name in the page's language", () => {
  assert.equal(textIn("es", "products/enamel-mug", mug).title, "Taza esmaltada");
  assert.equal(textIn("es", "products/enamel-mug", mug).lang, undefined);
  assert.deepEqual(textIn("en", "products/enamel-mug", mug), { title: "Enamel mug", description: "Holds 0.35 l.", lang: undefined });
});

test("what nobody has translated says which language it is in", () => {
  assert.deepEqual(textIn("es", "products/straw-hat", hat), { title: "Straw hat", description: "For the garden.", lang: "en" });
});

test("a product that the catalogue does not tell of is called by its id", () => {
  assert.equal(textIn("en", "products/wool-sock", undefined).title, "wool sock");
});
