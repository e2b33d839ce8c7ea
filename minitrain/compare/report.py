"""report.html: runs side by side in one file that needs nothing else, to look into and to send.

The page in page/ is filled with the runs as JSON. It shows them as text alone, and forbids the browser to load or run
anything but what it holds: what runs are called, and what their configs say, may come from a stranger.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from minitrain.compare.comparison import Comparison
from minitrain.compare.results import MISSING, Result, form, value_of
from minitrain.storage.files import write_text
from minitrain.storage.summary import Status, Summary
from minitrain.typing import Array

PAGE = Path(__file__).parent / "page"


SCRIPTS = ("runs", "filter", "colours", "scales", "curves", "table", "details", "report")  # one script, in this order


PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}


POINTS = {1000: 2e5, 200: 1e6, 120: 1e6, 60: 1e6, 30: math.inf}  # of a curve, up to how many of all; 10 bytes each


LONGEST_TEXT = 1000  # characters of a value that are shown


MOST_OF_SUMMARY = 100  # entries


def write_report(comparison: Comparison, figures: Mapping[str, Path], path: Path, title: str) -> None:
    """Write the page.

    figures: caption -> png or svg file, held by the page
    title: what was compared, a sweep's command for instance
    Raises OSError where a figure cannot be read or the page cannot be written.
    """
    style = (PAGE / "report.css").read_text(encoding="utf-8")
    script = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    page = Template((PAGE / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        about=_about(comparison),
        skipped=_skipped(comparison.results.skipped),
        figures="\n".join(_figure(caption, picture) for caption, picture in figures.items()),
        data=_for_script(_data(comparison)),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
    )
    write_text(path, page)


def _hash(text: str) -> str:
    """By which a Content-Security-Policy knows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _for_script(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # what is not ASCII is escaped, U+2028 too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _about(comparison: Comparison) -> str:
    """How many runs, how they ended, what judges them, when this was written: items of a list."""
    statuses = Counter(_short(run.status) for run in comparison.results).most_common(8)
    direction = "higher" if comparison.judge.is_higher_better else "lower"
    count = len(comparison.results)
    items = [
        f"<b>{count:,}</b> run{'s' * (count != 1)}",
        *(f'<span class="status">{escape(status)}</span> <b>{number:,}</b>' for status, number in statuses),
        f"judged by <b>{escape(comparison.judge.name)}</b>, {direction} is better",
        f"written {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    ]
    return "\n".join(f"<li>{item}</li>" for item in items)


def _skipped(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(_short(reason))}</li>" for reason in reasons[:100])
    return f"<details><summary>{len(reasons):,} without a run that can be read</summary><ul>{items}</ul></details>"


def _figure(caption: str, picture: Path) -> str:
    kind = PICTURES[picture.suffix]
    source = f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
    text = escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


# The runs as JSON


def _data(comparison: Comparison) -> dict[str, Any]:
    """What page/runs.js reads."""
    runs, judge = list(comparison.results), comparison.judge
    keys = list(dict.fromkeys([*comparison.keys, *comparison.results.keys]))
    group_of = {id(run): number for number, group in enumerate(comparison.groups) for run in group.runs}
    found = [_judged(run, judge.metric, judge.is_higher_better) for run in runs]
    return {
        "judge": {
            "metric": judge.metric,
            "column": "last" if judge.by == "last" else "best",
            "higher": judge.is_higher_better,
        },
        "groupedBy": comparison.keys,
        "keys": _columns([{key: value_of(run, key) for key in keys} for run in runs]),
        "config": _columns([run.config for run in runs]),
        "summary": _columns([_flat(_known(run.summary)) for run in runs]),
        "runs": {
            "name": _names(runs),
            "directory": [str(run.directory) for run in runs],
            "status": [_short(run.status) for run in runs],
            "group": [group_of[id(run)] for run in runs],
            "last": [last for last, _, _ in found],
            "best": [best for _, best, _ in found],
            "bestStep": [step for _, _, step in found],
            "seconds": [_number(run.seconds) for run in runs],
        },
        **_curves(runs, comparison.metrics),
    }


def _names(runs: Sequence[Result]) -> list[str]:
    """Directories as they are told apart: from the last folder that holds all of them."""
    paths = [os.path.abspath(run.directory) for run in runs]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared) for path in paths]


def _judged(run: Result, metric: str, is_higher_better: bool) -> tuple[float | None, float | None, float | None]:
    """A run's last and best value of a metric, and the step of its best; None each where it diverged or has none."""
    steps, values = run.curve(metric)
    if run.status is Status.DIVERGED or not len(values):
        return None, None, None
    best = int(values.argmax() if is_higher_better else values.argmin())
    return _number(values[-1]), _number(values[best]), _number(steps[best])


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """key -> what all rows say of it, or {values: each once, of: for each row, which of them}."""
    columns: dict[str, Any] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        texts = [_short(form(row.get(key, MISSING))) for row in rows]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        columns[_short(key)] = (
            {"values": list(places), "of": [places[text] for text in texts]} if len(places) > 1 else texts[0]
        )
    return columns


def _known(summary: Summary | None) -> dict[str, Any]:
    """The fields of a summary that have a value."""
    values = asdict(summary) if summary else {}
    return {key: value for key, value in values.items() if value is not None}


def _flat(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary with dotted keys, two levels deep as `run` writes it: `best.value`."""
    flat: dict[str, Any] = {}
    for key, value in summary.items():
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    flat.pop("status", None)
    return dict(list(flat.items())[:MOST_OF_SUMMARY])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _number(value: float) -> float | None:
    """Six digits of it; None for nan and inf."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


# Curves


def _curves(runs: Sequence[Result], metrics: Iterable[str]) -> dict[str, Any]:
    """steps: lists that curves share, each the first step and the distances to the next
    curves: metric -> for each run [which of the steps, values], or None"""
    found = {metric: [run.curve(metric) for run in runs] for metric in metrics}
    lengths = np.array([len(values) for curves in found.values() for _, values in curves])
    most = next(each for each, of_all in POINTS.items() if np.minimum(lengths, each).sum() <= of_all)
    known: dict[bytes, int] = {}
    shared: list[list[int]] = []

    def thinned(steps: Array, values: Array) -> list[Any] | None:
        if not len(values):
            return None
        kept = thin(values, most)
        apart = np.diff(steps[kept].astype(np.int64), prepend=0)
        place = known.setdefault(apart.tobytes(), len(known))
        if place == len(shared):
            shared.append(apart.tolist())
        return [place, [float(f"{value:.6g}") for value in values[kept].tolist()]]

    curves = {_short(metric): [thinned(*curve) for curve in of_runs] for metric, of_runs in found.items()}
    return {"steps": shared, "curves": curves}


def thin(values: Array, most: int) -> Array:
    """Which of a curve's values stay where there are more than `most`: the ends, and the extremes in between.

    values: [n] -> places in ascending order: [at most `most`]

    >>> thin(np.array([0.0, 1.0, 9.0, 1.0, 1.0, -5.0, 1.0, 2.0, 0.0, 0.0]), 6).tolist()
    [0, 1, 2, 5, 7, 9]
    """
    if len(values) <= most:
        return np.arange(len(values))
    buckets = (most - 2) // 2
    width = math.ceil((len(values) - 2) / buckets)
    padded = np.full(buckets * width, values[-2])
    padded[: len(values) - 2] = values[1:-1]
    rows = padded.reshape(buckets, width)
    extremes = np.concatenate([rows.argmin(axis=1), rows.argmax(axis=1)]).reshape(2, -1) + width * np.arange(buckets)
    inside = np.minimum(extremes.ravel() + 1, len(values) - 2)
    return np.unique(np.concatenate([[0], inside, [len(values) - 1]]))
