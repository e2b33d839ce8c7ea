"""The content of the report page; test_report_in_browser.py tests its behavior."""

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from minitrain.compare.comparison import compare
from minitrain.compare.report import MISSING, page_data, write_report
from minitrain.compare.results import Results, load_runs

UNTRUSTED = "</script><img src=x onerror=alert(1)>\u2028&amp;<!--"
CONFIG = {"activation": "relu", "lr": 0.1, "seed": 0, "steps": 100, "optimizer": {"name": "sgd", "default_lr": 0.3}}
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+ip1sAAAAASUVORK5CYII=")


def write_run(directory, changes=None, metrics=None, status="completed", **summary):
    """Write the directory of a run. metrics: columns by name, None in an empty cell; None for a run without metrics."""
    config = {**CONFIG, **(changes or {})}
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    overrides = [f"{key}={value}" for key, value in (changes or {}).items()]
    summary_values = {"status": status, "overrides": overrides, "seconds": 1.25, "step": 0, "steps": 100}
    summary_values |= {"final": {}, "best": None, **summary}
    if status != "running":
        (directory / "summary.json").write_text(json.dumps(summary_values), encoding="utf-8")
    if metrics is not None:
        rows = zip(*metrics.values(), strict=True)
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        (directory / "metrics.csv").write_text("\n".join([",".join(metrics), *lines, ""]), encoding="utf-8")


def falling(rows, rate=0.1, floor=0.05):
    steps = np.arange(rows) * 10
    loss = floor + 2.3 * np.exp(-rate * steps / 100)
    accuracy = [float(1 - value / 2.5) if i % 5 == 0 else None for i, value in enumerate(loss)]
    return {"step": steps, "train_loss": loss, "val_loss": loss * 1.1, "val_accuracy": accuracy}


def write_sweep(folder):
    """Twelve runs of two activations, two rates and three seeds, one of which diverged, and one that failed."""
    runs = [(act, lr, seed) for act in ("relu", "silu") for lr in (0.01, 0.5) for seed in range(3)]
    for number, (activation, lr, seed) in enumerate(runs):
        changes = {"activation": activation, "lr": lr, "seed": seed}
        diverged = number == 11
        write_run(
            folder / str(number), changes, falling(4 if diverged else 40, lr * 10, 0.05 + number / 100),
            "diverged" if diverged else "completed",
        )  # fmt: skip
    write_run(folder / "12", {"lr": 0.01, "seed": 9}, None, "failed", error="ValueError: no such thing")


def report(folder, figures=None, title="minitrain -m lr=0.01,0.5", **options):
    path = folder / "report.html"
    write_report(compare(load_runs(folder), **options), figures or {}, path, title)
    return path


class Page(HTMLParser):
    """The tags of a page, and the text of its data."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.inside, self.texts = [], None, {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = dict(attributes).get("type", tag) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, "") + text

    @property
    def data(self):
        return json.loads(self.texts["application/json"])


def test_header_has_title_statuses_and_ranking(tmp_path):
    write_sweep(tmp_path)
    (tmp_path / "13" / ".hydra").mkdir(parents=True)
    text = report(tmp_path, title="minitrain -m 'lr=0.01,0.5' & more").read_text()
    assert "<h1>minitrain -m &#x27;lr=0.01,0.5&#x27; &amp; more</h1>" in text
    assert "<b>13</b> runs" in text
    for status, number in (("completed", 11), ("diverged", 1), ("failed", 1)):
        assert f'<span class="status">{status}</span> <b>{number}</b>' in text
    assert "ranked by <b>last val_accuracy</b>, higher is better" in text
    assert "1 path skipped: no readable run" in text


def test_page_data_has_values_and_curves(tmp_path):
    write_sweep(tmp_path)
    data = Page(report(tmp_path)).data
    assert data["runs"]["name"] == [str(number) for number in range(13)]
    assert data["keys"]["lr"] == {"values": ["0.01", "0.5"], "of": [0, 0, 0, 1, 1, 1] * 2 + [0]}
    assert data["config"]["optimizer.name"] == "sgd"
    assert data["summary"]["error"] == {"values": [MISSING, "ValueError: no such thing"], "of": [0] * 12 + [1]}
    index, values = data["curves"]["train_loss"][3]
    metrics = falling(40, 5.0, 0.08)
    assert np.cumsum(data["steps"][index]).tolist() == metrics["step"].tolist()
    assert values == [float(f"{value:.6g}") for value in metrics["train_loss"]]
    assert data["runs"]["last"][3] == float(f"{metrics['val_accuracy'][35]:.6g}")
    assert data["runs"]["bestStep"][3] == 350
    assert (data["runs"]["last"][11], data["runs"]["best"][12]) == (None, None)
    assert data["curves"]["train_loss"][12] is None


def test_policy_allows_only_the_embedded_script_and_style(tmp_path):
    write_sweep(tmp_path)
    (tmp_path / "figure.png").write_bytes(PIXEL)
    page = Page(report(tmp_path, {"All <curves>": tmp_path / "figure.png"}))
    policy = next(tag["content"] for name, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy")
    for kind, text in (("script", page.texts["module"]), ("style", page.texts["style"])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    loaded = [value for _, tag in page.tags for name, value in tag.items() if name in ("src", "href", "data", "action")]
    assert loaded == ["#details", f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"]
    assert not re.search(r"https?://|url\(|@import|\bimport\b|fetch\(|innerHTML|\beval\b", str(page.texts))
    assert ("img", {"src": loaded[1], "alt": "All <curves>"}) in page.tags


def test_untrusted_values_remain_text(tmp_path):
    write_run(
        tmp_path / "<img src=x onerror=alert(2)>", {"activation": UNTRUSTED, f"k{UNTRUSTED}": 1}, falling(5),
        "failed", error=UNTRUSTED,
    )  # fmt: skip
    write_run(tmp_path / "1", {"lr": UNTRUSTED}, {"step": [0], "train_loss": [1.0], "<b>": [2.0]})
    invalid_status = "</script><script>alert(3)</script>"  # such a run is skipped
    write_run(tmp_path / UNTRUSTED.replace("/", ""), None, falling(5), invalid_status)
    page = Page(report(tmp_path, title=UNTRUSTED))
    write_run(tmp_path / "plain" / "0", {"lr": 0.1}, falling(5))
    write_run(tmp_path / "plain" / "1", {"lr": 0.2}, falling(5), "unknown")
    harmless = Page(report(tmp_path / "plain"))
    assert {name for name, _ in page.tags} == {name for name, _ in harmless.tags}
    assert UNTRUSTED in page.data["config"]["activation"]["values"]
    assert UNTRUSTED in page.data["summary"]["error"]["values"]
    assert "<b>" in page.data["curves"]
    text = page.texts["application/json"]
    assert not re.search("[<>&\u2028\u2029]", text)


def test_runs_without_values_are_included(tmp_path):
    write_run(tmp_path / "0", {"lr": 0.1}, None, "running")
    write_run(tmp_path / "1", {"lr": math.inf}, {"step": [], "train_loss": []}, "interrupted", seconds=math.nan)
    write_run(tmp_path / "2", {"lr": math.nan}, {"step": [0, 10], "train_loss": ["inf", "nan"]}, "diverged")
    write_run(tmp_path / "3", {"lr": 0.2}, {"step": [0, "nan", "1e300", 10], "train_loss": [3, 1, 1, 2]})
    data = Page(report(tmp_path)).data
    assert data["runs"]["status"] == ["running", "interrupted", "diverged", "completed"]
    assert data["keys"]["lr"]["values"] == ["0.1", "inf", "nan", "0.2"]
    assert data["runs"]["seconds"] == [None, None, 1.25, 1.25]
    assert data["curves"]["train_loss"][:3] == [None] * 3
    assert (data["steps"], data["curves"]["train_loss"][3]) == ([[0, 10]], [0, [3.0, 2.0]])


def test_report_of_runs_without_metrics(tmp_path):
    write_run(tmp_path / "0", None, None, "running")
    data = Page(report(tmp_path)).data
    assert (data["curves"], data["keys"], data["runs"]["group"]) == ({}, {}, [0])


def test_best_value_may_differ_from_the_last(tmp_path):
    write_run(tmp_path / "0", None, {"step": [0, 10, 20], "train_loss": [3.0, 1.0, 2.0]})
    for by, best, step, column in (("last", 1.0, 10, "last"), ("min", 1.0, 10, "best"), ("max", 3.0, 0, "best")):
        data = Page(report(tmp_path, metric="train_loss", by=by)).data
        assert (data["runs"]["last"], data["runs"]["best"], data["runs"]["bestStep"]) == ([2.0], [best], [step])
        ranking = {key: data["ranking"][key] for key in ("metric", "column", "higherIsBetter")}
        assert ranking == {"metric": "train_loss", "column": column, "higherIsBetter": by == "max"}


def test_runs_of_two_sweeps_have_distinct_names(tmp_path):
    for sweep in ("first", "second"):
        write_run(tmp_path / sweep / "0", {"lr": 0.1}, falling(3))
    assert Page(report(tmp_path)).data["runs"]["name"] == ["first/0", "second/0"]


def test_size_of_the_page_is_bounded(tmp_path):
    write_run(tmp_path / "0", {"lr": 0.1}, None)
    (run,) = load_runs(tmp_path)  # the same run, many times
    noise = np.random.default_rng(0).normal(size=1000)
    run.metrics.update({"step": np.arange(1000.0), "train_loss": noise, "val_loss": noise * 3, "grad_norm": noise**2})
    for count, limit in ((60, 1000), (500, 200), (2800, 60)):
        curves = page_data(compare(Results([run] * count)))["curves"]
        lengths = {len(curve[1]) for of_runs in curves.values() for curve in of_runs}
        assert 0.9 * limit <= max(lengths) <= limit
    assert len(json.dumps(curves)) < 10_000_000


def test_failed_write_leaves_no_page(tmp_path):
    write_sweep(tmp_path)
    with pytest.raises(FileNotFoundError):
        report(tmp_path, {"Curves": tmp_path / "missing.png"})
    assert not list(tmp_path.glob("*.html*"))
