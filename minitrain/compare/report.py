"""report.html: a comparison as one self-contained page.

The page in page/ is filled with the runs as JSON. Names of runs and values of configs are untrusted: the page shows
them as text only, and its Content-Security-Policy forbids loading or running anything that it does not contain.
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

import numpy as np

from minitrain.compare.comparison import Comparison, Ranking, are_ordered, known_values, sorted_values
from minitrain.compare.lines import thin
from minitrain.compare.results import MISSING, Result, format_value, is_number, value_of
from minitrain.errors import plural
from minitrain.plotting.axes import suits_log_axis
from minitrain.plotting.palette import COLORS, DARK_RAMP, GRAY, LIGHT_RAMP, ramp
from minitrain.storage.files import write_text
from minitrain.storage.metric import Metric
from minitrain.storage.summary import Status, Summary
from minitrain.typing import Array

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("runs", "filter", "colors", "scales", "curves", "table", "details", "report")  # joined in this order
IMAGE_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
POINT_LIMITS = {1000: 2e5, 200: 1e6, 120: 1e6, 60: 1e6, 30: math.inf}  # points per curve -> most points in total
LONGEST_TEXT = 1000  # characters of a value
MOST_STATUSES = 8
MOST_SKIPPED = 100
MOST_SUMMARY_ENTRIES = 100


def write_report(
    comparison: Comparison, figures: Mapping[str, Path], path: Path, title: str, command: str = ""
) -> None:
    """Write the report page.

    Args:
        comparison: The groups of runs.
        figures: PNG or SVG files by caption, to be embedded in the page.
        path: Where to write the page.
        title: What is compared.
        command: Where the runs come from, such as the command of a sweep; omitted if empty.

    Raises:
        OSError: A figure cannot be read, or the page cannot be written.
    """
    style = (PAGE / "report.css").read_text(encoding="utf-8")
    script = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    page = Template((PAGE / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        about=_about(comparison, command),
        notes="\n".join(f'<p class="note">{escape(_limited(note))}</p>' for note in comparison.notes),
        skipped=_skipped(comparison.results.skipped),
        figures="\n".join(_figure(caption, image) for caption, image in figures.items()),
        data=_json_for_script(page_data(comparison)),
        style=style,
        style_hash=_csp_hash(style),
        script=script,
        script_hash=_csp_hash(script),
    )
    write_text(path, page)


def _csp_hash(text: str) -> str:
    """The source expression by which a Content-Security-Policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json_for_script(data: object) -> str:
    """JSON in which no text can close the script element around it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # non-ASCII is escaped, U+2028 too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _about(comparison: Comparison, command: str) -> str:
    """List items: the number of runs, their statuses, the ranking, the command, and the time of writing."""
    statuses = Counter(_limited(run.status) for run in comparison.results).most_common(MOST_STATUSES)
    direction = "higher" if comparison.ranking.higher_is_better else "lower"
    count, _, noun = plural(len(comparison.results), "run").partition(" ")
    ranking = f"ranked by <b>{escape(comparison.ranking.name)}</b>, {direction} is better"
    items = [
        f"<b>{count}</b> {noun}",
        *(f'<span class="status">{escape(status)}</span> <b>{number:,}</b>' for status, number in statuses),
        "not ranked" if comparison.unranked else ranking,
        *([f"<code>{escape(_limited(command))}</code>"] if command else []),
        f"written {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    ]
    return "\n".join(f"<li>{item}</li>" for item in items)


def _skipped(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(_limited(reason))}</li>" for reason in reasons[:MOST_SKIPPED])
    heading = f"{plural(len(reasons), 'path')} skipped: no readable run"
    return f"<details><summary>{heading}</summary><ul>{items}</ul></details>"


def _figure(caption: str, image: Path) -> str:
    kind = IMAGE_TYPES[image.suffix]
    source = f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode()}"
    text = escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


# The runs as JSON


def page_data(comparison: Comparison) -> dict[str, object]:
    """The data of the page, which page/runs.js reads."""
    runs = list(comparison.results)
    keys = list(dict.fromkeys([*comparison.keys, *comparison.results.keys]))
    return {
        "ranking": {
            "metric": comparison.ranking.metric,
            "column": "last" if comparison.ranking.by == "last" else "best",
            "higherIsBetter": comparison.ranking.higher_is_better,
            "isRanked": not comparison.unranked,
            "allowsDiverged": comparison.ranking.allows_diverged,
        },
        "palette": {"names": COLORS, "unknown": GRAY, "light": ramp(*LIGHT_RAMP), "dark": ramp(*DARK_RAMP)},
        "metrics": {name: _metric_properties(name) for name in (*comparison.metrics, comparison.ranking.metric)},
        "groupedBy": comparison.keys,
        "keys": _columns([{key: value_of(run, key) for key in keys} for run in runs]),
        "scales": {_limited(key): _scale(comparison, key) for key in keys},
        "config": _columns([run.config for run in runs]),
        "summary": _columns([_flattened_summary(run.summary) for run in runs]),
        "runs": _run_columns(comparison),
        **_curves(runs, comparison.metrics),
    }


def _scale(comparison: Comparison, key: str) -> dict[str, object]:
    """How colors represent a key: its values in the order of the figures, and whether they are sequential."""
    everything = sorted_values(value_of(run, key) for run in comparison.results)
    values = known_values(everything)
    is_ordered = bool(values) and are_ordered(values)
    numbers = [value for value in values if is_number(value)]
    return {
        "order": [_limited(format_value(value)) for value in (values if is_ordered else everything)],
        "isOrdered": is_ordered,
        "isLog": bool(numbers) and suits_log_axis(key, numbers),
    }


def _metric_properties(name: str) -> dict[str, bool]:
    metric = Metric.named(name)
    return {"isShare": metric.is_share, "higherIsBetter": metric.higher_is_better}


def _run_columns(comparison: Comparison) -> dict[str, Sequence[object]]:
    """Columns with one entry for each run."""
    runs = list(comparison.results)
    group_of = {id(run): number for number, group in enumerate(comparison.groups) for run in group.runs}
    values = [_last_and_best(run, comparison.ranking) for run in runs]
    return {
        "name": _names(runs),
        "directory": [str(run.directory) for run in runs],
        "status": [_limited(run.status) for run in runs],
        "group": [group_of[id(run)] for run in runs],
        "last": [last for last, _, _ in values],
        "best": [best for _, best, _ in values],
        "bestStep": [step for _, _, step in values],
        "seconds": [_rounded(run.seconds) for run in runs],
    }


def _names(runs: Sequence[Result]) -> list[str]:
    """The directory of each run, relative to the innermost directory that contains all of them."""
    paths = [os.path.abspath(run.directory) for run in runs]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, common) for path in paths]


def _last_and_best(run: Result, ranking: Ranking) -> tuple[float | None, float | None, float | None]:
    """The last and the best value of the metric, and the step of the best; None if the run diverged or has none."""
    _, values = run.curve(ranking.metric)
    if run.status is Status.DIVERGED or not len(values):
        return None, None, None
    best, step = ranking.best(run)
    return _rounded(values[-1]), _rounded(best), _rounded(step)


def _columns(rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The values of each key: one text if all rows agree, else {values: distinct texts, of: index for each row}."""
    columns: dict[str, object] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        texts = [_limited(format_value(row.get(key, MISSING))) for row in rows]
        index_of = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        columns[_limited(key)] = (
            {"values": list(index_of), "of": [index_of[text] for text in texts]} if len(index_of) > 1 else texts[0]
        )
    return columns


def _flattened_summary(summary: Summary | None) -> dict[str, object]:
    """The known fields of a summary except the status, with dotted keys: `best.value`."""
    flat: dict[str, object] = {}
    for key, value in asdict(summary).items() if summary else ():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        elif value is not None and key != "status":
            flat[key] = value
    return dict(list(flat.items())[:MOST_SUMMARY_ENTRIES])


def _limited(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _rounded(value: float) -> float | None:
    """The value with six digits; None for nan and inf."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


# Curves


def _curves(runs: Sequence[Result], metrics: Iterable[str]) -> dict[str, object]:
    """The curves of all runs, thinned out so that the page remains small; curves share their lists of steps.

    Returns:
        steps: Lists of steps, each as the first step and the distances to the next.
        curves: metric -> for each run [index into steps, values], or None if it has no value.
    """
    curves_of = {metric: [run.curve(metric) for run in runs] for metric in metrics}
    lengths = np.array([len(values) for curves in curves_of.values() for _, values in curves])
    most = next(limit for limit, total in POINT_LIMITS.items() if np.minimum(lengths, limit).sum() <= total)
    index_of: dict[bytes, int] = {}
    step_lists: list[list[int]] = []

    def encode(steps: Array, values: Array) -> list[object] | None:
        if not len(values):
            return None
        selected = thin(values, most)
        distances = np.diff(steps[selected].astype(np.int64), prepend=0)
        index = index_of.setdefault(distances.tobytes(), len(index_of))
        if index == len(step_lists):
            step_lists.append(distances.tolist())
        return [index, [float(f"{value:.6g}") for value in values[selected].tolist()]]

    encoded = {_limited(metric): [encode(*curve) for curve in curves] for metric, curves in curves_of.items()}
    return {"steps": step_lists, "curves": encoded}
