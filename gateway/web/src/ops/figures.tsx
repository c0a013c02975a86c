// Leads from a number to the same number over time.

import { help } from "./source.ts";

interface Props {
  text: string;
  about: string; // what the number is, for who hears the link alone
  query: string | undefined;
}

/** A number that leads to Prometheus' graph of *query*; the number alone where no browser reaches Prometheus. */
export function InPrometheus({ text, about, query }: Props) {
  const graph = help.value?.graph;
  if (!graph || !query) return <>{text}</>;
  return (
    <a class="figure" href={graph + encodeURIComponent(query)} aria-label={`${text}, ${about}, in Prometheus`}>
      {text}
    </a>
  );
}

/** Links to several figures, by their names and what they are called here. */
export function Figures({ of }: { of: Record<string, string> }) {
  const { graph, figures } = help.value ?? {};
  const known = Object.entries(of).filter(([name]) => figures?.[name]);
  if (!graph || known.length === 0) return null;
  return (
    <p class="muted figures">
      Over time:{" "}
      {known.map(([name, title]) => (
        <a key={name} href={graph + encodeURIComponent(figures?.[name] ?? "")}>
          {title}
        </a>
      ))}
    </p>
  );
}
