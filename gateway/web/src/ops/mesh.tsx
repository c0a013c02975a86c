// The mesh as a picture. The table below it says the same in words, so readers of screens skip it.

import type { Breaker, Calls, Pod } from "./board.ts";
import { between, failing } from "./board.ts";
import { ms, number, share } from "./format.ts";

const WIDTH = 920;
const HEIGHT = 350;
const BOX = { width: 150, height: 64 };
// Where the services stand; what else there is has its line in the table.
const PLACES: Record<string, [number, number]> = {
  edge: [95, 175],
  orders: [460, 42],
  inventory: [825, 175],
  pages: [460, 308],
};

interface Props {
  calls: Calls[];
  breakers: Breaker[];
  pods: Pod[];
}

export function Mesh({ calls, breakers, pods }: Props) {
  const known = calls.filter((each) => PLACES[each.from] && PLACES[each.to]);
  return (
    <svg class="mesh" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <defs>
        <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
          <path d="M0 0 8 4 0 8z" />
        </marker>
      </defs>
      {known.map((each) => (
        <Arrow key={`${each.from} ${each.to}`} calls={each} state={between(breakers, each.from, each.to)} />
      ))}
      {Object.entries(PLACES).map(([name, [x, y]]) => (
        <Box key={name} name={name} x={x} y={y} pods={pods.filter((pod) => pod.service === name)} />
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

const WARNINGS: Record<string, string> = { open: "breaker open · ", partly: "breaker partly open · ", empty: "no hosts · " };

function Arrow({ calls, state }: { calls: Calls; state: string }) {
  const { from, to, turn, label } = line(calls.from, calls.to);
  const bad = (failing(calls) ?? 0) > 0.01;
  return (
    <g class={`arrow breaker-${state} ${bad ? "failing" : ""}`}>
      <path d={`M${from.x} ${from.y}Q${turn.x} ${turn.y} ${to.x} ${to.y}`} marker-end="url(#tip)" />
      <text x={label.x} y={label.y}>
        {WARNINGS[state]}
        {number(calls.rate)}/s · {share(failing(calls))} failing
      </text>
      <text x={label.x} y={label.y + 16}>
        p99 {ms(calls.p99_ms)}
      </text>
    </g>
  );
}

interface Point {
  x: number;
  y: number;
}

// How far a line bends down, so that no two lie on each other; the label goes to the outer side.
const BENDS: Record<string, number> = { "edge pages": 26, "pages inventory": 26, "edge inventory": 0, "inventory orders": 30 };
const USUAL_BEND = -26;

/** A bent line between two boxes, from side to side. */
function line(one: string, other: string): { from: Point; to: Point; turn: Point; label: Point } {
  const [x1, y1] = PLACES[one] ?? [0, 0];
  const [x2, y2] = PLACES[other] ?? [0, 0];
  const right = x2 > x1 ? 1 : -1;
  const bend = BENDS[`${one} ${other}`] ?? USUAL_BEND;
  const side = Math.sign(bend) * 10;
  const from = { x: x1 + (right * BOX.width) / 2, y: y1 + side };
  const to = { x: x2 - (right * BOX.width) / 2 - 4 * right, y: y2 + side };
  const turn = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + bend };
  return { from, to, turn, label: { x: turn.x - bend, y: turn.y + (bend > 0 ? 10 : -20) } };
}
