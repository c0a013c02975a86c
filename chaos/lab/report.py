"""Self-contained report pages, one for each run, and an index of all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from chaos.guarantees import MAX_SHOWN
from chaos.lab.figures import figures, longest_silence_s, quantile
from chaos.lab.history import Call
from chaos.lab.plots import Line, Plot, svg
from chaos.lab.result import Result, document

BIN_S = 1.0
STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --dim: #5a6875; --back: #fff; --line: #dde3e8; --good: #14804a;
  --bad: #c02626; --calm: #1f6fb2; --band: #f2b84b44; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --dim: #9aa8b5; --back: #12181f; --line: #2b3641;
  --good: #4cc38a; --bad: #ff7b72; --calm: #6cb6ff; --band: #f2b84b33; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 0 auto;
  max-width: 62rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { margin: .25rem 0 .75rem; } .dim { color: var(--dim); }
.verdict { display: inline-block; padding: .1rem .7rem; border-radius: 1rem; color: var(--back); font-weight: 600; }
.verdict.good { background: var(--good); } .verdict.bad { background: var(--bad); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; } dl div { min-width: 7rem; }
dt { color: var(--dim); font-size: .85rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: 500; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.good, .mark.good { color: var(--good); } td.bad, .mark.bad { color: var(--bad); }
ul.examples { margin: .2rem 0; padding-left: 1.2rem; color: var(--bad); font-size: .9rem; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--dim); font-size: 11px; }
svg text.name { fill: var(--ink); } svg .grid { stroke: var(--line); } svg .band { fill: var(--band); }
svg polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg .good { stroke: var(--good); } svg .bad { stroke: var(--bad); } svg .calm { stroke: var(--calm); }
.legend span { margin-right: 1.25rem; font-size: .85rem; } .legend .good { color: var(--good); }
.legend .bad { color: var(--bad); } .legend .calm { color: var(--calm); }
code { background: var(--line); padding: .1rem .35rem; border-radius: .25rem; overflow-wrap: anywhere; }
a { color: var(--calm); }
"""


def write(result: Result, folder: Path) -> Path:
    """Write a run's page and its JSON into *folder*; return the path of the page."""
    (folder / "verdict.json").write_text(json.dumps(document(result), indent=2) + "\n", encoding="utf-8")
    path = folder / "report.html"
    path.write_text(page(result), encoding="utf-8")
    return path


def page(result: Result) -> str:
    """Return the page of a run."""
    facts = document(result)
    end_s = max((call.ended_s for call in result.calls if call.ended_s != float("inf")), default=1.0)
    parts = [
        f'<p><span class="verdict {_class(result.passed)}">{"passed" if result.passed else "failed"}</span></p>',
        f"<h1>{escape(facts['title'])}</h1>",
        f"<p>{escape(facts['hypothesis'])}</p>",
        *([f'<p class="mark bad">Aborted: {escape(result.aborted)}</p>'] if result.aborted else []),
        _figures(result, facts),
        *(_plot(plot, result, end_s, named=number == 0) for number, plot in enumerate(plots(result.calls, result))),
        "<h2>Faults</h2>",
        _faults(result, end_s),
        "<h2>Checks</h2>",
        _verdicts(result),
        "<h2>Again</h2>",
        f"<p><code>{escape(facts['command'])}</code></p>",
        f'<p class="dim">{escape(", ".join(f"{name} {version}" for name, version in result.versions.items()))}; '
        f"started {escape(result.began_at)}; every call is in <a href='history.jsonl'>history.jsonl</a>, "
        "the verdict for machines in <a href='verdict.json'>verdict.json</a>.</p>",
    ]
    return _html(facts["title"], parts)


def plots(calls: Sequence[Call], result: Result) -> list[Plot]:
    """Return the plots of rate, latency, errors and backlog, by second."""
    ended = sorted((call for call in calls if call.ended_s != float("inf")), key=lambda call: call.ended_s)
    bins = int((ended[-1].ended_s if ended else 0.0) / BIN_S) + 1
    by_bin: list[list[Call]] = [[] for _ in range(bins)]
    for call in ended:
        by_bin[int(call.ended_s / BIN_S)].append(call)
    each = [
        (number * BIN_S, figures(some, begin_s=number * BIN_S, end_s=(number + 1) * BIN_S), some)
        for number, some in enumerate(by_bin)
    ]
    took = [(at_s, sorted(c.took_s for c in some if c.operation == "place")) for at_s, _, some in each]
    return [
        Plot(
            "Orders acknowledged",
            "/s",
            [
                Line("acknowledged", [(at_s, f.placed / BIN_S) for at_s, f, _ in each], "calm"),
                Line("confirmed at once", [(at_s, f.confirmed / BIN_S) for at_s, f, _ in each], "good"),
            ],
        ),
        Plot(
            "Order latency",
            " s",
            [
                Line("median", [(at_s, quantile(some, 0.5) if some else None) for at_s, some in took], "calm"),
                Line("p99", [(at_s, quantile(some, 0.99) if some else None) for at_s, some in took], "bad"),
            ],
        ),
        Plot(
            "Calls without a response, or refused with Retry-After",
            "/s",
            [Line("retry later", [(at_s, (f.calls - f.well) / BIN_S) for at_s, f, _ in each], "bad")],
        ),
        Plot(
            "Backlog",
            "",
            [
                Line("pending orders", [(s.at_s, s.pending) for s in result.samples], "calm"),
                Line("events in the outbox", [(s.at_s, s.outbox) for s in result.samples], "good"),
                Line("consumer lag", result.lags, "bad"),
            ],
        ),
    ]


def index(folder: Path) -> Path:
    """Write the index of all runs in *folder*, the latest of each experiment first."""
    runs = []
    for path in sorted(folder.glob("*/verdict.json")):
        try:
            runs.append((path.parent.name, json.loads(path.read_text(encoding="utf-8"))))
        except ValueError:
            continue
    runs.sort(key=lambda each: each[1]["began_at"], reverse=True)
    latest: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name, each in runs:
        latest.setdefault(each["experiment"], (name, each))
    rows = [_row(name, each) for _, (name, each) in sorted(latest.items())]
    failed = sum(not each["passed"] for _, each in latest.values())
    head = (
        "<tr><th>experiment</th><th>verdict</th><th class='number'>orders</th><th class='number'>recovered after</th>"
        "<th class='number'>longest without an order</th><th class='number'>violations</th><th>started</th></tr>"
    )
    summary = f"{len(latest)} experiments, {failed} failed" if latest else "no experiment has been run yet"
    body = [
        "<h1>Experiments</h1>",
        f"<p>{summary}; the latest run of each.</p>",
        f"<table>{head}{''.join(rows)}</table>",
    ]
    path = folder / "index.html"
    path.write_text(_html("Experiments", body), encoding="utf-8")
    return path


def _row(name: str, facts: Mapping[str, Any]) -> str:
    recovery = facts["recovery_s"]
    broken = sum(each["broken"] for each in facts["verdicts"])
    return (
        f"<tr><td><a href='{escape(name)}/report.html'>{escape(facts['title'])}</a></td>"
        f"<td class='{_class(facts['passed'])}'>{'passed' if facts['passed'] else 'failed'}</td>"
        f"<td class='number'>{facts['orders']}</td>"
        f"<td class='number'>{'never' if recovery is None else f'{recovery:.1f} s'}</td>"
        f"<td class='number'>{facts['longest_silence_s']:.1f} s</td><td class='number'>{broken}</td>"
        f"<td>{escape(facts['began_at'][:19].replace('T', ' '))}</td></tr>"
    )


def _figures(result: Result, facts: Mapping[str, Any]) -> str:
    recovery = "never" if result.recovery_s is None else f"{result.recovery_s:.1f} s"
    shown = {
        "orders acknowledged": f"{facts['orders']}",
        "calls": f"{facts['calls']}",
        f"recovered (limit {facts['recovery_limit_s']:g} s)": recovery,
        "longest without an order": f"{result.silence_s:.1f} s",
        "violations": f"{sum(bool(verdict.broken) for verdict in result.verdicts)} of {len(result.verdicts)}",
        "seed": f"{result.seed}",
    }
    return "<dl>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in shown.items()) + "</dl>"


def _plot(plot: Plot, result: Result, end_s: float, *, named: bool) -> str:
    legend = "".join(f'<span class="{line.css}">&#9644; {escape(line.name)}</span>' for line in plot.lines)
    drawn = svg(plot, bands=result.bands, end_s=end_s, named=named)
    return f'<h2>{escape(plot.title)}</h2><div class="legend">{legend}</div>{drawn}'


def _faults(result: Result, end_s: float) -> str:
    rows = []
    for band in result.bands:
        silence_s = longest_silence_s(result.calls, begin_s=band.begin_s, end_s=max(band.begin_s, end_s))
        again_s = result.restored_after_s(band)
        end = f"{band.end_s:.1f} s" if band.end_s != float("inf") else "at the end"
        rows.append(
            f"<tr><td>{escape(band.description)}</td><td class='number'>{band.begin_s:.1f} s</td>"
            f"<td class='number'>{end}</td><td class='number'>{silence_s:.1f} s</td>"
            f"<td class='number'>{'never' if again_s is None else f'{again_s:.1f} s'}</td></tr>"
        )
    head = (
        "<tr><th>fault</th><th class='number'>injected</th><th class='number'>reverted</th>"
        "<th class='number'>longest time without an order</th><th class='number'>service restored after</th></tr>"
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _verdicts(result: Result) -> str:
    rows = []
    for verdict in result.verdicts:
        examples = "".join(f"<li>{escape(each)}</li>" for each in verdict.broken[:MAX_SHOWN])
        shown = f"<ul class='examples'>{examples}</ul>" if examples else ""
        rows.append(
            f"<tr><td class='{_class(not verdict.broken)}'>{'&#10007;' if verdict.broken else '&#10003;'}</td>"
            f"<td>{escape(verdict.guarantee)}{shown}</td><td class='number'>{verdict.checked}</td>"
            f"<td class='number'>{len(verdict.broken)}</td></tr>"
        )
    head = "<tr><th></th><th>guarantee</th><th class='number'>checked</th><th class='number'>violations</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _class(good: bool) -> str:
    return "good" if good else "bad"


def _html(title: str, body: Iterable[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        + "\n".join(body)
        + "</body></html>\n"
    )
