import type { Store } from "./board.ts";

const KINDS = { up: "breaker-closed", degraded: "breaker-partly", down: "breaker-open" };

/** PostgreSQL, Kafka, Redis, etcd: a box for each, with its state and its members. */
export function Stores({ stores }: { stores: Store[] }) {
  return (
    <ul class="stores">
      {stores.map((store) => (
        <li key={store.name} class={`store ${store.state}`} data-store={store.name}>
          <p>
            <strong>{store.name}</strong> <span class={`badge ${KINDS[store.state]}`}>{store.state}</span>
          </p>
          <p class="muted">{store.text}</p>
          {store.members.length > 0 && (
            <ul>
              {store.members.map((member) => (
                <li key={member.name} class={member.up ? "" : "bad"}>
                  {member.name}: {member.role}
                </li>
              ))}
            </ul>
          )}
        </li>
      ))}
    </ul>
  );
}
