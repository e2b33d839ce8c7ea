"""The page that a comparison leaves: what is in the file, and what a browser makes of it."""

import base64
import hashlib
import json
import math
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from minitrain.comparison import compare
from minitrain.report import MISSING, _data, thin, write_report
from minitrain.results import Results, load_runs

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028&amp;<!--"
CONFIG = {"activation": "relu", "lr": 0.1, "seed": 0, "steps": 100, "optimizer": {"name": "sgd", "default_lr": 0.3}}
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+ip1sAAAAASUVORK5CYII=")


def leave_run(directory, changes=None, metrics=None, status="completed", **summary):
    """What a run leaves behind. metrics: columns by name, None in a cell that is empty; none for a run not begun."""
    config = {**CONFIG, **(changes or {})}
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    overrides = [f"{key}={value}" for key, value in (changes or {}).items()]
    told = {"status": status, "overrides": overrides, "seconds": 1.25, "best": None, **summary}
    if status != "running":
        (directory / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    if metrics is not None:
        rows = zip(*metrics.values(), strict=True)
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        (directory / "metrics.csv").write_text("\n".join([",".join(metrics), *lines, ""]), encoding="utf-8")


def falling(rows, rate=0.1, floor=0.05):
    steps = np.arange(rows) * 10
    loss = floor + 2.3 * np.exp(-rate * steps / 100)
    accuracy = [float(1 - value / 2.5) if i % 5 == 0 else None for i, value in enumerate(loss)]
    return {"step": steps, "train_loss": loss, "val_loss": loss * 1.1, "val_accuracy": accuracy}


def leave_sweep(folder):
    """Twelve runs of two activations, two rates and three seeds, one of which diverged, and one that failed."""
    runs = [(act, lr, seed) for act in ("relu", "silu") for lr in (0.01, 0.5) for seed in range(3)]
    for number, (activation, lr, seed) in enumerate(runs):
        changes = {"activation": activation, "lr": lr, "seed": seed}
        diverged = number == 11
        leave_run(
            folder / str(number), changes, falling(4 if diverged else 40, lr * 10, 0.05 + number / 100),
            "diverged" if diverged else "completed",
        )  # fmt: skip
    leave_run(folder / "12", {"lr": 0.01, "seed": 9}, None, "failed", error="ValueError: no such thing")


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


def test_it_tells_what_was_compared_how_it_ended_and_what_judges(tmp_path):
    leave_sweep(tmp_path)
    (tmp_path / "13" / ".hydra").mkdir(parents=True)
    text = report(tmp_path, title="minitrain -m 'lr=0.01,0.5' & more").read_text()
    assert "<h1>minitrain -m &#x27;lr=0.01,0.5&#x27; &amp; more</h1>" in text
    assert "<b>13</b> runs" in text
    for status, number in (("completed", 11), ("diverged", 1), ("failed", 1)):
        assert f'<span class="status">{status}</span> <b>{number}</b>' in text
    assert "judged by <b>last val_accuracy</b>, higher is better" in text
    assert "1 without a run that can be read" in text


def test_runs_have_their_values_and_curves(tmp_path):
    leave_sweep(tmp_path)
    data = Page(report(tmp_path)).data
    assert data["runs"]["name"] == [str(number) for number in range(13)]
    assert data["keys"]["lr"] == {"values": ["0.01", "0.5"], "of": [0, 0, 0, 1, 1, 1] * 2 + [0]}
    assert data["config"]["optimizer.name"] == "sgd"
    assert data["summary"]["error"] == {"values": [MISSING, "ValueError: no such thing"], "of": [0] * 12 + [1]}
    place, values = data["curves"]["train_loss"][3]
    metrics = falling(40, 5.0, 0.08)
    assert np.cumsum(data["steps"][place]).tolist() == metrics["step"].tolist()
    assert values == [float(f"{value:.6g}") for value in metrics["train_loss"]]
    assert data["runs"]["last"][3] == float(f"{metrics['val_accuracy'][35]:.6g}")
    assert data["runs"]["bestStep"][3] == 350
    assert (data["runs"]["last"][11], data["runs"]["best"][12]) == (None, None)
    assert data["curves"]["train_loss"][12] is None


def test_nothing_is_loaded_and_only_its_own_script_and_style_run(tmp_path):
    leave_sweep(tmp_path)
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


def test_hostile_values_stay_text(tmp_path):
    leave_run(
        tmp_path / "<img src=x onerror=alert(2)>", {"activation": HOSTILE, f"k{HOSTILE}": 1}, falling(5),
        "</script><script>alert(3)</script>", error=HOSTILE,
    )  # fmt: skip
    leave_run(tmp_path / "1", {"lr": HOSTILE}, {"step": [0], "train_loss": [1.0], "<b>": [2.0]})
    page = Page(report(tmp_path, title=HOSTILE))
    leave_run(tmp_path / "plain" / "0", {"lr": 0.1}, falling(5))
    harmless = Page(report(tmp_path / "plain"))
    assert {name for name, _ in page.tags} == {name for name, _ in harmless.tags}
    assert HOSTILE in page.data["config"]["activation"]["values"]
    assert HOSTILE in page.data["summary"]["error"]["values"]
    assert "<b>" in page.data["curves"]
    text = page.texts["application/json"]
    assert not re.search("[<>&\u2028\u2029]", text)


def test_runs_without_values_are_there(tmp_path):
    leave_run(tmp_path / "0", {"lr": 0.1}, None, "running")
    leave_run(tmp_path / "1", {"lr": math.inf}, {"step": [], "train_loss": []}, "interrupted", seconds=math.nan)
    leave_run(tmp_path / "2", {"lr": math.nan}, {"step": [0, 10], "train_loss": ["inf", "nan"]}, "diverged")
    leave_run(tmp_path / "3", {"lr": 0.2}, {"step": [0, "nan", "1e300", 10], "train_loss": [3, 1, 1, 2]})
    data = Page(report(tmp_path)).data
    assert data["runs"]["status"] == ["running", "interrupted", "diverged", "completed"]
    assert data["keys"]["lr"]["values"] == ["0.1", "inf", "nan", "0.2"]
    assert data["runs"]["seconds"] == [None, None, 1.25, 1.25]
    assert data["curves"]["train_loss"][:3] == [None] * 3
    assert (data["steps"], data["curves"]["train_loss"][3]) == ([[0, 10]], [0, [3.0, 2.0]])


def test_a_report_of_runs_that_have_not_begun(tmp_path):
    leave_run(tmp_path / "0", None, None, "running")
    data = Page(report(tmp_path)).data
    assert (data["curves"], data["keys"], data["runs"]["group"]) == ({}, {}, [0])


def test_the_best_value_need_not_be_the_last(tmp_path):
    leave_run(tmp_path / "0", None, {"step": [0, 10, 20], "train_loss": [3.0, 1.0, 2.0]})
    for by, best, step, column in (("last", 1.0, 10, "last"), ("min", 1.0, 10, "best"), ("max", 3.0, 0, "best")):
        data = Page(report(tmp_path, metric="train_loss", by=by)).data
        assert (data["runs"]["last"], data["runs"]["best"], data["runs"]["bestStep"]) == ([2.0], [best], [step])
        assert data["judge"] == {"metric": "train_loss", "column": column, "higher": by == "max"}


def test_runs_of_two_sweeps_are_told_apart(tmp_path):
    for sweep in ("first", "second"):
        leave_run(tmp_path / sweep / "0", {"lr": 0.1}, falling(3))
    assert Page(report(tmp_path)).data["runs"]["name"] == ["first/0", "second/0"]


def test_many_long_runs_make_a_page_that_can_be_sent(tmp_path):
    leave_run(tmp_path / "0", {"lr": 0.1}, None)
    (run,) = load_runs(tmp_path)  # the same run, many times
    noise = np.random.default_rng(0).normal(size=1000)
    run.metrics.update({"step": np.arange(1000.0), "train_loss": noise, "val_loss": noise * 3, "grad_norm": noise**2})
    for count, at_most in ((60, 1000), (500, 200), (2800, 60)):
        curves = _data(compare(Results([run] * count)))["curves"]
        lengths = {len(curve[1]) for of_runs in curves.values() for curve in of_runs}
        assert 0.9 * at_most <= max(lengths) <= at_most
    assert len(json.dumps(curves)) < 10_000_000


@pytest.mark.parametrize("count", [1, 2, 3, 29, 30, 31, 61, 1000, 99_999])
def test_thinned_curves_keep_their_ends_and_extremes(count):
    values = np.random.default_rng(count).normal(size=count)
    kept = thin(values, 30)
    assert len(kept) <= 30
    assert (np.diff(kept) > 0).all()
    assert {0, count - 1, int(values.argmin()), int(values.argmax())} <= set(kept.tolist())


def test_a_page_that_cannot_be_written_leaves_none(tmp_path):
    leave_sweep(tmp_path)
    with pytest.raises(FileNotFoundError):
        report(tmp_path, {"Curves": tmp_path / "missing.png"})
    assert not list(tmp_path.glob("*.html*"))


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[browser]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for name in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                 "disable-background-networking", "disable-component-update", "window-size=1400,1000",
                 f"user-data-dir={tmp_path_factory.mktemp('browser')}"):  # fmt: skip
        options.add_argument(f"--{name}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


class Reader:
    """A person with the page before them."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def texts(self, selector):
        return [each.text for each in self.all(selector)]

    def column(self, number):
        return self.texts(f"#runs tbody tr[data-row] td:nth-child({number})")

    def head(self, name):
        return next(each for each in self.all(".scroll thead th") if each.text.strip("▲▼ ") == name)

    def type(self, text):
        box = self.all("#filter")[0]
        box.clear()
        box.send_keys(text)

    def press(self, selector):
        self.all(selector)[0].click()

    def choose(self, selector, text):
        next(each for each in self.all(f"{selector} option") if each.text == text).click()

    def point(self, selector, x=0.5, y=0.5):
        """Move the mouse to a place of an element, 0 to 1 from its left and top."""
        from selenium.webdriver import ActionChains

        (place,) = self.all(selector)
        size = place.size
        moves = ActionChains(self.browser)
        moves.move_to_element_with_offset(place, int((x - 0.5) * size["width"]), int((y - 0.5) * size["height"]))
        moves.perform()
        return moves

    def wait(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, 10, poll_frequency=0.05).until(lambda _: condition())

    def coloured(self, canvas="lines"):
        """How many points of a canvas are painted in a colour that is no grey."""
        return self.browser.execute_script(
            """const canvas = document.getElementById(arguments[0]);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
              found += data[i + 3] > 99 && Math.max(...data.slice(i, i + 3)) - Math.min(...data.slice(i, i + 3)) > 40;
            return found;""",
            canvas,
        )

    @property
    def complaints(self):
        """Errors of the script, and what its policy kept it from."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def reader(browser, tmp_path):
    leave_sweep(tmp_path)
    reader = Reader(browser, report(tmp_path))
    reader.wait(lambda: reader.coloured() > 500)
    yield reader
    assert reader.complaints == []


def test_rows_come_best_first_and_a_head_sorts_them(reader):
    assert reader.column(1) == ["3", "4", "5", "9", "10", "0", "1", "2", "6", "7", "8", "11", "12"]
    lr = reader.head("lr")
    lr.find_element("tag name", "button").click()
    assert (lr.get_attribute("aria-sort"), reader.head("last val_accuracy").get_attribute("aria-sort")) == (
        "ascending",
        None,
    )
    assert reader.column(3) == ["0.01"] * 7 + ["0.5"] * 6
    lr.find_element("tag name", "button").send_keys("\n")
    assert lr.get_attribute("aria-sort") == "descending"
    assert reader.column(3) == ["0.5"] * 6 + ["0.01"] * 7
    reader.head("run").find_element("tag name", "button").click()
    assert reader.column(1) == [str(number) for number in range(13)]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("lr<0.5 activation=silu", {6, 7, 8}), ("lr < 0.5 seed>=2", {2, 8, 12}), ("diverged", {11}),
        ("status!=completed", {11, 12}), ("optimizer=sgd SILU seed=0", {6, 9}), ("activation=sil", set()),
        ("default_lr>0.2 best>90% seed=1 lr=5e-1", {4, 10}), ("lr=", set(range(13))), ("activation<3", set()),
    ],
)  # fmt: skip
def test_a_filter_has_terms_that_all_hold(reader, text, runs):
    before = reader.coloured()
    reader.type(text)
    assert {int(name) for name in reader.column(1)} == runs
    if len(runs) < 13:
        assert reader.texts("#found") == [f"{len(runs)} of 13 runs"]
        reader.wait(lambda: reader.coloured() < before)


def test_a_filter_tells_of_a_key_that_is_none(reader):
    reader.type("learning_rate<3")
    assert reader.texts("#found") == ["no key learning_rate"]


def test_groups_are_those_of_the_comparison(reader, tmp_path):
    reader.press("#show-groups")
    groups = compare(load_runs(tmp_path)).groups
    rows = [row.text.split() for row in reader.all("#groups tbody tr[data-row]")]
    told = {(*row[:2], *row[2:6]) for row in rows}

    def percent(value):
        return "–" if math.isnan(value) else f"{value:.2%}"

    assert told == {
        (str(group.values["activation"]), str(group.values["lr"]), percent(group.mean), percent(group.deviation),
         str(len(group.runs)), str(group.count("diverged"))) for group in groups
    }  # fmt: skip
    reader.type("seed=1")
    assert [row.text.split()[4] for row in reader.all("#groups tbody tr[data-row]")] == ["1"] * 4
    reader.press("#groups tbody tr[data-row]")
    assert reader.all("#filter")[0].get_attribute("value") == "activation=relu lr=0.5"


def test_pointing_at_a_line_tells_of_it_and_lights_its_row(reader):
    reader.choose("#metric", "train_loss")
    reader.type("lr=0.01 seed=0 activation=relu")
    reader.wait(lambda: reader.column(1) == ["0"] and 100 < reader.coloured() < 3000)
    reader.point("#plot", 0.1, 0.1)
    reader.wait(lambda: reader.all("#tooltip")[0].is_displayed())
    tooltip = reader.texts("#tooltip")[0].split("\n")
    assert tooltip[0] == "0"
    assert {"lr", "0.01", "activation", "relu"} <= set(tooltip)
    assert any(re.fullmatch(r"train_loss at step \d+", line) for line in tooltip)
    assert reader.coloured("marks") > 100
    assert reader.all("#runs tr.lit")[0].get_attribute("data-row") == "0"


def test_pointing_at_a_row_lights_its_line(reader):
    assert reader.coloured("marks") == 0
    reader.point('#runs tr[data-row="3"]')
    reader.wait(lambda: reader.coloured("marks") > 100)


def test_selected_runs_stand_side_by_side_with_what_differs_marked(reader):
    reader.press('#runs tr[data-row="3"]')
    assert reader.texts("#details strong") == ["Selected run"]
    marked = reader.texts("#details .differs th")
    assert {name.strip("≠ ") for name in marked} == {"activation", "lr", "seed"}
    assert "optimizer.name" in reader.texts("#details tbody th")
    reader.press('#runs tr[data-row="0"]')
    assert reader.texts("#details .differs") == ["lr 0.5 0.01"]
    assert [row.get_attribute("aria-selected") for row in reader.all("#runs tr[data-row]")].count("true") == 2
    reader.press("#details input")
    assert "optimizer.name" not in reader.texts("#details tbody th")
    reader.press("#details thead button")
    assert reader.texts("#details strong") == ["Selected run"]
    reader.press("#details .bar button")
    assert not reader.all("#details")[0].is_displayed()


def test_a_click_on_a_line_selects_its_run(reader):
    reader.choose("#metric", "train_loss")
    reader.type("lr=0.01 seed=0 activation=relu")
    reader.wait(lambda: 100 < reader.coloured() < 3000)
    reader.point("#plot", 0.1, 0.1).click().perform()
    reader.wait(lambda: reader.texts("#details strong") == ["Selected run"])
    assert str(reader.all("#details tbody td")[1].text).endswith("/0")


def test_what_failed_tells_why(reader):
    reader.type("failed")
    reader.press("#runs tbody tr[data-row]")
    assert "ValueError: no such thing" in reader.texts("#details td")


def test_keys_walk_and_select_rows(reader):
    (first,) = reader.all('#runs tr[tabindex="0"]')
    first.send_keys("\ue015")  # down
    reader.browser.switch_to.active_element.send_keys("\ue010")  # end
    reader.browser.switch_to.active_element.send_keys(" ")
    assert reader.browser.switch_to.active_element.get_attribute("data-row") == "12"
    assert reader.texts("#details strong") == ["Selected run"]


def test_scale_smoothing_and_zoom_change_the_picture(reader):
    def picture():
        return reader.browser.execute_script("return document.getElementById('lines').toDataURL()")

    whole = picture()
    for control, there, back in (("#log", " ", " "), ("#smoothing", "\ue010", "\ue011")):  # keys: end and home
        reader.all(control)[0].send_keys(there)
        reader.wait(lambda: picture() != whole)
        reader.all(control)[0].send_keys(back)
        reader.wait(lambda: picture() == whole)
    reader.point("#plot", 0.2, 0.2).click_and_hold().move_by_offset(200, 100).release().perform()
    reader.wait(lambda: reader.texts("#whole") == ["Reset zoom"] and picture() != whole)
    reader.press("#whole")
    reader.wait(lambda: picture() == whole)
    assert not reader.all("#details")[0].is_displayed()


def test_null_stands_among_numbers(browser, tmp_path):
    for number, l2 in enumerate([0.01, None, 0.1]):
        leave_run(tmp_path / str(number), {"l2": l2}, falling(9))
    reader = Reader(browser, report(tmp_path))
    reader.head("l2").find_element("tag name", "button").click()
    assert reader.column(2) == ["0.01", "0.1", "null"]
    assert reader.texts("#legend > *") == ["l2", "0.01", "0.1", "null"]
    reader.type("l2=null")
    assert reader.column(1) == ["1"]


def test_light_and_dark(reader):
    def ground():
        return reader.browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    before = ground()
    reader.press("#theme")
    after = ground()
    reader.press("#theme")
    assert (ground(), after) == (before, "rgb(21, 23, 27)" if before == "rgb(255, 255, 255)" else "rgb(255, 255, 255)")


def test_every_control_has_a_name_and_every_colour_a_legend(reader):
    unnamed = reader.browser.execute_script(
        "return [...document.querySelectorAll('button, input, select, canvas[role]')].filter((each) => "
        "!(each.textContent.trim() || each.ariaLabel || each.labels?.length)).map((each) => each.outerHTML)"
    )
    assert unnamed == []
    assert reader.texts("#legend > *") == ["activation", "relu", "silu"]
    reader.choose("#colour", "lr")
    assert reader.texts("#legend > *") == ["lr", "0.01", "0.5"]


def test_hostile_values_are_shown_and_not_run(browser, tmp_path):
    leave_run(
        tmp_path / "<img src=x onerror=alert(2)>", {"activation": HOSTILE, "__proto__": 3}, falling(5), "completed"
    )
    leave_run(
        tmp_path / "1", {"lr": HOSTILE, "constructor": HOSTILE}, {"step": [0], "<b>": [2.0]}, HOSTILE, error=HOSTILE
    )
    reader = Reader(browser, report(tmp_path, metric="<b>", title=HOSTILE))
    assert reader.texts("h1")[0].startswith("</script><img")
    reader.press('#runs tr[data-row="0"]')
    reader.press('#runs tr[data-row="1"]')
    reader.point("#plot")
    reader.choose("#colour", "activation")
    reader.type('activation="</script><img src=x onerror=alert(1)>"')
    assert any("onerror" in text for text in reader.texts("#details td"))
    assert reader.all("img") == []
    assert reader.complaints == []


def test_runs_without_values_can_be_read(browser, tmp_path):
    leave_run(tmp_path / "0", None, None, "running")
    reader = Reader(browser, report(tmp_path))
    assert reader.column(1) == ["0"]
    assert not reader.all("#plot")[0].is_displayed()
    reader.press("#show-groups")
    assert reader.texts("#groups tbody tr[data-row] td")[:2] == ["all", "–"]
    assert reader.complaints == []


def test_thousands_of_rows_are_made_as_they_come_into_sight(browser, tmp_path):
    leave_run(tmp_path / "0", {"lr": 0.1}, falling(20))
    (run,) = load_runs(tmp_path)
    runs = [replace(run, directory=tmp_path / str(i), config={**run.config, "seed": i}) for i in range(3000)]
    write_report(compare(Results(runs)), {}, tmp_path / "report.html", "many")
    reader = Reader(browser, tmp_path / "report.html")
    assert len(reader.all("#runs tr[data-row]")) < 120
    reader.browser.execute_script("document.getElementById('runs').scrollTop = 1e9")
    reader.wait(lambda: reader.column(1)[-1] == "2999")
    assert len(reader.all("#runs tr[data-row]")) < 120
    reader.type("seed>=2990")
    assert reader.column(1) == [str(number) for number in range(2990, 3000)]
    assert reader.complaints == []


def test_a_real_sweep(browser, command):
    command("-m", "lr=0.1,0.3", "seed=range(2)", "data=moons", "data.samples=100", "network.widths=[8]", "steps=60")
    reader = Reader(browser, report(Path("outputs").resolve()))
    assert sorted(reader.column(1)) == ["0", "1", "2", "3"]
    assert set(reader.column(4)) == {"completed"}
    reader.wait(lambda: reader.coloured() > 300)
    assert reader.complaints == []
