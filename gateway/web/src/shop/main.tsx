import "../styles.css";
import "./shop.css";
import { render } from "preact";
import { resume } from "./checkout.ts";
import { App } from "./views/app.tsx";

resume();
const place = document.getElementById("app");
if (place) render(<App />, place);
// Keeps the page usable while the shop cannot be reached: an order under way must still tell how it stands.
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js").catch(() => undefined);
