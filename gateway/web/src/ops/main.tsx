import "../styles.css";
import "./ops.css";
import { render } from "preact";
import { Operations } from "./views.tsx";

const place = document.getElementById("app");
if (place) render(<Operations />, place);
