import type { ComponentChildren } from "preact";

interface TableProps {
  label: string;
  heads: string[];
  children: ComponentChildren;
}

/** A table that scrolls by itself on a narrow screen; the first column is words, the others are numbers. */
export function Table({ label, heads, children }: TableProps) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
