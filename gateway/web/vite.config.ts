import { defineConfig } from "vite";

// Pages from one source: the storefront at /, the operations board at /ops, the API at /docs, the way back from the issuer at /signed-in.
export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: addresses
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: ["index.html", "ops.html", "docs.html", "signed-in.html", "not-found.html"] },
  },
});
