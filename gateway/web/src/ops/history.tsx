// The board's figures over a chosen time, of the whole system or of one hop, with outages, faults and starts drawn in.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Problem } from "../api/problem.ts";
import { callSigned, token } from "../shared/session.ts";
import type { Chart, History, Hop, Line, Period } from "./history.ts";
import { HOP, PERIODS, SYSTEM, inWords, linesOf, marks, pathOf } from "./history.ts";

const EVERY_MS = 15_000;
const HEIGHT = 170;
const COLOURS = ["--accent", "--bad", "--plot-3", "--plot-4", "--plot-5", "--plot-6"];

const period = signal<Period>("1h");
/** The hop whose history is shown; none: the whole system's. */
export const hop = signal<Hop | undefined>(undefined);
const history = signal<History | undefined>(undefined);
const trouble = signal("");

/** Shows the history of the calls from one service to another. */
export function openHop(from: string, to: string): void {
  hop.value = { from, to };
  document.getElementById("history")?.scrollIntoView({ block: "start" });
  document.getElementById("history-title")?.focus({ preventScroll: true });
}

export function Histories() {
  const chosen = period.value;
  const between = hop.value;
  useEffect(() => {
    history.value = undefined;
    trouble.value = "";
    let current = true;
    const look = async () => {
      if (document.visibilityState !== "visible" || !token.peek()) return;
      try {
        const found = await callSigned<History>(pathOf(chosen, between));
        if (!current) return;
        history.value = found;
        trouble.value = "";
      } catch (error) {
        if (current) trouble.value = error instanceof Problem ? error.message : String(error);
      }
    };
    void look();
    const timer = setInterval(look, EVERY_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [chosen, between]);
  return (
    <section class="card panel full history" id="history" aria-labelledby="history-title">
      <div class="history-head">
        <h2 id="history-title" tabIndex={-1}>
          {between ? `History of calls ${between.from} → ${between.to}` : "History"}
        </h2>
        {between && (
          <button type="button" class="quiet" onClick={() => (hop.value = undefined)}>
            The whole system
          </button>
        )}
        <fieldset class="periods">
          <legend>Period</legend>
          {PERIODS.map((each) => (
            <label key={each}>
              <input type="radio" name="period" checked={chosen === each} onChange={() => (period.value = each)} />
              <span>{each}</span>
            </label>
          ))}
        </fieldset>
      </div>
      {trouble.value && <p role="alert">The history could not be read: {trouble.value}</p>}
      {history.value ? <Plots history={history.value} charts={between ? HOP : SYSTEM} /> : !trouble.value && <p class="muted">Reading…</p>}
    </section>
  );
}

function Plots({ history, charts }: { history: History; charts: Chart[] }) {
  return (
    <>
      <div class="plots">
        {charts.map((chart) => (
          <Plot key={chart.title} history={history} chart={chart} />
        ))}
      </div>
      <Key history={history} />
    </>
  );
}

/** What is drawn into every plot, in words. */
function Key({ history }: { history: History }) {
  const started = marks(history.starts, history.step);
  const time = timeIn(history);
  return (
    <ul class="key muted">
      <li>
        <span class="swatch outage" /> outage{" "}
        {history.outages.length === 0 ? "(none)" : history.outages.map(([from, to]) => `${time(from)}–${time(to)}`).slice(-5).join(", ")}
      </li>
      <li>
        <span class="swatch fault" /> injected fault{" "}
        {history.faults.length === 0 ? "(none)" : history.faults.map(([from, to]) => `${time(from)}–${time(to)}`).slice(-5).join(", ")}
      </li>
      <li>
        <span class="swatch start" /> deployment or restart{" "}
        {started.length === 0 ? "(none)" : started.slice(-5).map((each) => `${time(each.at)} ${each.text}`).join(", ")}
      </li>
    </ul>
  );
}

function timeIn({ period: of }: History): (at: number) => string {
  const long = of === "1d" || of === "7d";
  const format = new Intl.DateTimeFormat(undefined, long ? { dateStyle: "short", timeStyle: "short" } : { timeStyle: "medium" });
  return (at) => format.format(new Date(at * 1000));
}

function Plot({ history, chart }: { history: History; chart: Chart }) {
  const place = useRef<HTMLDivElement>(null);
  const shown = useRef<uPlot | undefined>(undefined);
  const latest = useRef(history);
  latest.current = history;
  const lines = linesOf(history, chart);
  const names = lines.map((line) => line.name).join("\n");
  useEffect(() => {
    const box = place.current;
    if (!box || !names) return;
    const plot = new uPlot(options(box, chart, names.split("\n"), latest), dataOf(latest.current, chart), box);
    shown.current = plot;
    const watcher = new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: HEIGHT }));
    watcher.observe(box);
    return () => {
      watcher.disconnect();
      plot.destroy();
      shown.current = undefined;
    };
  }, [names, chart]);
  useEffect(() => shown.current?.setData(dataOf(history, chart)), [history]);
  const words = inWords(lines, chart.text);
  return (
    <figure class="plot">
      <figcaption>
        <strong>{chart.title}</strong> <small class="muted">{words || "nothing was measured"}</small>
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}

function dataOf(history: History, chart: Chart): uPlot.AlignedData {
  return [history.at, ...linesOf(history, chart).map((line: Line) => line.values)];
}

function options(box: HTMLElement, chart: Chart, names: string[], latest: { current: History }): uPlot.Options {
  const style = getComputedStyle(box);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { show: false } };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { sync: { key: "history" }, drag: { x: false, y: false } },
    legend: { show: names.length > 1 },
    scales: { y: { range: (_plot, low, high) => rangeOf(chart, low, high) } },
    axes: [
      { ...axis, size: 28, space: 70, values: (_plot, ticks) => ticks.map(tickOf(latest.current)) },
      { ...axis, size: 62, values: (_plot, ticks) => ticks.map((each) => chart.text(each)) },
    ],
    series: [
      {},
      ...names.map((label, index) => ({
        label,
        stroke: colour(COLOURS[index % COLOURS.length] ?? "--ink"),
        width: 1.6,
        points: { show: false },
        value: (_plot: uPlot, value: number | null) => chart.text(value),
      })),
    ],
    hooks: { drawClear: [(plot) => drawMarks(plot, latest.current, colour)] },
  };
}

function tickOf({ period: of }: History): (at: number) => string {
  const format = new Intl.DateTimeFormat(undefined, of === "7d" ? { day: "numeric", month: "short" } : { timeStyle: "short" });
  return (at) => format.format(new Date(at * 1000));
}

function rangeOf(chart: Chart, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  // Of an availability the last percent is what matters.
  if (chart.of["availability"] !== undefined) return [Math.min(low, 0.99) - 0.001, 1.0005];
  return [0, Math.max(high * 1.1, chart.least)];
}

function drawMarks(plot: uPlot, history: History, colour: (name: string) => string): void {
  const { left, top, width, height } = plot.bbox;
  const across = (at: number) => Math.min(Math.max(plot.valToPos(at, "x", true), left), left + width);
  plot.ctx.save();
  for (const [spans, fill] of [[history.faults, "--warn-soft"], [history.outages, "--bad-soft"]] as const) {
    plot.ctx.fillStyle = colour(fill);
    for (const [from, to] of spans) plot.ctx.fillRect(across(from), top, Math.max(across(to) - across(from), 3), height);
  }
  plot.ctx.strokeStyle = colour("--muted");
  plot.ctx.setLineDash([4, 4]);
  for (const { at } of marks(history.starts, history.step)) {
    plot.ctx.beginPath();
    plot.ctx.moveTo(across(at), top);
    plot.ctx.lineTo(across(at), top + height);
    plot.ctx.stroke();
  }
  plot.ctx.restore();
}
