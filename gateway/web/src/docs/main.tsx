import "../styles.css";
import "./docs.css";
import { render } from "preact";
import { Docs, read } from "./views.tsx";

const place = document.getElementById("app");
if (place) render(<Docs />, place);
void read();
