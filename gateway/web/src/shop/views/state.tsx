import type { OrderState } from "../../api/types.ts";
import { words } from "../words.ts";

/** An order's state in a word. */
export function StateBadge({ state }: { state: OrderState }) {
  return <span class={`badge ${state.toLowerCase()}`}>{words.value.state[state].word}</span>;
}
