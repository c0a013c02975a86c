// What to do when an alert fires, below the alerts; an alert's name leads there.

/** The id of an alert's runbook in the page. */
export function runbookId(alert: string): string {
  return `runbook-${alert}`;
}

/** Open the runbook that a link names, and put the reader there; the address stays, it names an order. */
export function leadToRunbook(event: Event): void {
  event.preventDefault();
  const id = (event.currentTarget as HTMLAnchorElement).hash.slice(1);
  const found = document.getElementById(id);
  if (!(found instanceof HTMLDetailsElement)) return;
  found.open = true;
  found.querySelector("summary")?.focus();
}

export function Runbooks({ names, texts }: { names: string[]; texts: Record<string, string> }) {
  return (
    <>
      {names.map((name) => (
        <details key={name} id={runbookId(name)} class="runbook">
          <summary>Runbook: {name}</summary>
          <pre>{texts[name]}</pre>
        </details>
      ))}
    </>
  );
}
