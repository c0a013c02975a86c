// The mesh as a picture. The table below has the same content, so screen readers skip it.

import type { Breaker, Calls, Pod } from "./board.ts";
import { between, failing } from "./board.ts";
import { ms, number, share } from "./format.ts";

const WIDTH = 1000;
const HEIGHT = 430;
const BOX = { width: 140, height: 64 };
// The positions of the services; others are only in the table.
const PLACES: Record<string, [number, number]> = {
  edge: [80, 215],
  orders: [500, 42],
  inventory: [920, 215],
  pages: [500, 388],
};

interface Props {
  calls: Calls[];
  breakers: Breaker[];
  pods: Pod[];
  open: (from: string, to: string) => void; // a click on an edge
}

export function Mesh({ calls, breakers, pods, open }: Props) {
  const known = calls.filter((each) => PLACES[each.from] && PLACES[each.to]);
  return (
    <svg class="mesh" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <defs>
        <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
          <path d="M0 0 8 4 0 8z" />
        </marker>
      </defs>
      {known.map((each) => (
        <Arrow key={`${each.from} ${each.to}`} calls={each} state={between(breakers, each.from, each.to)} open={open} />
      ))}
      {Object.entries(PLACES).map(([name, [x, y]]) => (
        <Box key={name} name={name} x={x} y={y} pods={pods.filter((pod) => pod.service === name)} />
      ))}
      {/* Last, and between the boxes, so that nothing hides them just when they matter. */}
      {known.map((each) => (
        <Label key={`${each.from} ${each.to}`} calls={each} state={between(breakers, each.from, each.to)} open={open} />
      ))}
    </svg>
  );
}

function Box({ name, x, y, pods }: { name: string; x: number; y: number; pods: Pod[] }) {
  return (
    <g transform={`translate(${x - BOX.width / 2} ${y - BOX.height / 2})`}>
      <rect width={BOX.width} height={BOX.height} rx="12" />
      <text x={BOX.width / 2} y="27" class="name">
        {name}
      </text>
      {pods.map((pod, index) => (
        <circle
          key={pod.pod}
          cx={BOX.width / 2 + (index - (pods.length - 1) / 2) * 20}
          cy="45"
          r="6"
          class={pod.up === 0 || pod.proxy_up === 0 ? "down" : "up"}
        />
      ))}
    </g>
  );
}

const WARNINGS: Record<string, string> = { open: "breaker open", partly: "breaker partly open", empty: "no hosts" };

function kindOf(calls: Calls, state: string): string {
  return `breaker-${state} ${(failing(calls) ?? 0) > 0.01 ? "failing" : ""}`;
}

interface EdgeProps {
  calls: Calls;
  state: string;
  open: Props["open"];
}

function Arrow({ calls, state, open }: EdgeProps) {
  const { from, to, turn } = line(calls.from, calls.to);
  return (
    <g class={`arrow ${kindOf(calls, state)}`} onClick={() => open(calls.from, calls.to)}>
      {/* Wide enough to be hit. */}
      <path class="target" d={`M${from.x} ${from.y}Q${turn.x} ${turn.y} ${to.x} ${to.y}`} />
      <path d={`M${from.x} ${from.y}Q${turn.x} ${turn.y} ${to.x} ${to.y}`} marker-end="url(#tip)" />
    </g>
  );
}

// Short lines, one below the other: two boxes are never further apart than they are wide.
function Label({ calls, state, open }: EdgeProps) {
  const { label } = line(calls.from, calls.to);
  const lines = [
    WARNINGS[state],
    `${number(calls.rate)}/s, p99 ${ms(calls.p99_ms)}`,
    calls.rate ? `${share(failing(calls))} failing` : undefined,
  ].filter((each) => each !== undefined);
  return (
    <g class={`label ${kindOf(calls, state)}`} onClick={() => open(calls.from, calls.to)}>
      {lines.map((text, index) => (
        <text key={index} x={label.x} y={label.y + (index - (lines.length - 1) / 2) * LINE_HEIGHT + 4}>
          {text}
        </text>
      ))}
    </g>
  );
}

const LINE_HEIGHT = 16;

interface Point {
  x: number;
  y: number;
}

// How far a line bends down, so that lines do not overlap.
const BENDS: Record<string, number> = {
  "edge orders": -40,
  "orders inventory": -40,
  "inventory orders": 40,
  "edge inventory": 0,
  "edge pages": 40,
  "pages inventory": 40,
};
// Where labels stand that the middle of their line would put over another's.
const LABELS: Record<string, Point> = {
  "edge orders": { x: 265, y: 95 },
  "orders inventory": { x: 765, y: 85 },
  "inventory orders": { x: 645, y: 150 },
  "edge inventory": { x: 380, y: 215 },
  "edge pages": { x: 265, y: 335 },
  "pages inventory": { x: 735, y: 335 },
};

/** A bent line between two boxes, from side to side. */
function line(one: string, other: string): { from: Point; to: Point; turn: Point; label: Point } {
  const [x1, y1] = PLACES[one] ?? [0, 0];
  const [x2, y2] = PLACES[other] ?? [0, 0];
  const right = x2 > x1 ? 1 : -1;
  const bend = BENDS[`${one} ${other}`] ?? 0;
  const side = Math.sign(bend) * 10;
  const from = { x: x1 + (right * BOX.width) / 2, y: y1 + side };
  const to = { x: x2 - (right * BOX.width) / 2 - 4 * right, y: y2 + side };
  const turn = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + bend };
  return { from, to, turn, label: LABELS[`${one} ${other}`] ?? turn };
}
