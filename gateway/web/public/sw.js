// Serves the pages' own files from what was kept, so that a reload works while the shop cannot be reached.
// The API is never answered from here: what a customer reads about an order comes from the shop.
"use strict";

const CACHE = "pages";
const MAX_FILES = 40;

self.addEventListener("install", (event) => event.waitUntil(keep("/").then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname === "/" || url.pathname === "/icon.svg") event.respondWith(newest(event.request));
  if (url.pathname.startsWith("/assets/")) event.respondWith(kept(event.request));
});

/** Keep the start page and the files it names. */
async function keep(path) {
  const cache = await caches.open(CACHE);
  const page = await fetch(path, { cache: "no-cache" });
  if (!page.ok) throw new Error(`${path}: ${page.status}`);
  const text = await page.clone().text();
  const files = [...text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((found) => found[1]);
  await cache.put(path, page);
  await cache.addAll(files.slice(0, MAX_FILES));
}

/** From the shop while it answers, else as it was. */
async function newest(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    if (answer.ok || answer.status < 500) return answer;
  } catch {
    // Not reachable: below.
  }
  return (await cache.match(request, { ignoreSearch: true, ignoreVary: true })) ?? Response.error();
}

/** A file whose name has its content's hash never changes. */
async function kept(request) {
  const cache = await caches.open(CACHE);
  // The edge says Vary: Origin of every answer; what is kept is the same whoever asks, with an Origin or without.
  const found = await cache.match(request, { ignoreVary: true });
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) {
    await cache.put(request, answer.clone());
    await forget(cache);
  }
  return answer;
}

/** Drop the oldest files of earlier versions. */
async function forget(cache) {
  const requests = await cache.keys();
  const files = requests.filter((request) => new URL(request.url).pathname.startsWith("/assets/"));
  await Promise.all(files.slice(0, Math.max(0, files.length - MAX_FILES)).map((request) => cache.delete(request)));
}
