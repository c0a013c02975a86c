import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Order } from "../../api/types.ts";
import { callSigned } from "../session.ts";
import { words } from "../words.ts";

/** Cancels an order after asking once more; the order's page shows the outcome itself. */
export function Cancel({ order }: { order: Order }) {
  const messages = words.value;
  const stage = useSignal<"idle" | "asking" | "sending" | "failed">("idle");
  const keep = useRef<HTMLButtonElement>(null);
  const begin = useRef<HTMLButtonElement>(null);
  const before = useRef(stage.value);
  // Before anything else can happen to the page: what had the focus is gone already.
  useLayoutEffect(() => {
    if (stage.value === "asking") keep.current?.focus();
    if (stage.value !== before.current && (stage.value === "idle" || stage.value === "failed")) begin.current?.focus();
    before.current = stage.value;
  }, [stage.value]);
  const whole = useRef<HTMLDivElement>(null);
  useLayoutEffect(
    () => () => {
      // The order has ended, and this with it, before or after the answer to the call: what has the focus is still there.
      if (whole.current?.contains(document.activeElement)) document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
    },
    [],
  );
  const send = async () => {
    if (stage.peek() === "sending") return;
    stage.value = "sending";
    try {
      // The key is the order's own: cancelling the same order twice is one intent.
      await callSigned<Order>(`/v1/${order.name}:cancel`, {
        method: "POST",
        body: {},
        key: `cancel-${order.name.replace(/^orders\//, "")}`,
      });
      stage.value = "idle";
    } catch {
      stage.value = "failed";
    }
  };
  if (stage.value === "idle" || stage.value === "failed") {
    return (
      <div class="actions" ref={whole}>
        {stage.value === "failed" && <p role="alert">{messages.cancelFailed}</p>}
        <button type="button" class="danger" ref={begin} onClick={() => (stage.value = "asking")}>
          {messages.cancel}
        </button>
      </div>
    );
  }
  return (
    <div class="actions" ref={whole} role="group" aria-label={messages.cancelQuestion}>
      <p>{messages.cancelQuestion}</p>
      <button type="button" ref={keep} aria-disabled={stage.value === "sending"} onClick={() => stage.value !== "sending" && (stage.value = "idle")}>
        {messages.cancelNo}
      </button>
      <button type="button" class="danger" aria-disabled={stage.value === "sending"} onClick={send}>
        {messages.cancelYes}
      </button>
    </div>
  );
}
