import type { ComponentChildren } from "preact";
import type { Money } from "../../api/types.ts";
import { region } from "../../shared/i18n.ts";
import { format, times } from "../../shared/money.ts";
import { textOf, words } from "../words.ts";
import { Art } from "./art.tsx";

export interface LineShown {
  product: string;
  quantity: number;
  unitPrice?: Money | undefined;
  note?: string | undefined; // what is wrong with it
}

interface Props {
  lines: LineShown[];
  children?: (line: LineShown, title: string) => ComponentChildren;
  below?: (line: LineShown, title: string) => ComponentChildren;
}

/** Products with how many and for how much; *children* makes what stands at a line's end, *below* what is under it. */
export function Lines({ lines, children, below }: Props) {
  return (
    <ul class="lines">
      {lines.map((line) => (
        <Line key={line.product} line={line} after={children} below={below} />
      ))}
    </ul>
  );
}

function Line({ line, after, below }: { line: LineShown; after: Props["children"]; below: Props["below"] }) {
  const { title, lang } = textOf(line.product);
  const price = line.unitPrice;
  return (
    <li>
      <Art product={line.product} title={title} />
      <div class="what">
        <a lang={lang} href={`#/${line.product}`}>
          {title}
        </a>
        {line.note && <strong class="note">{line.note}</strong>}
        <small class="muted">{after ? price && words.value.each(format(price, region.value)) : counted(line)}</small>
      </div>
      {after?.(line, title)}
      {price && <span class="amount">{format(times(price, line.quantity), region.value)}</span>}
      {below?.(line, title)}
    </li>
  );
}

/** How many at which price, or just how many while no price is fixed. */
function counted({ quantity, unitPrice }: LineShown): string {
  return unitPrice ? `${quantity} × ${format(unitPrice, region.value)}` : `× ${quantity}`;
}
