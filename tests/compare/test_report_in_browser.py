"""The report page of a comparison, as the user operates it in Chromium."""

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from test_report import UNTRUSTED, falling, report, write_run, write_sweep

from minitrain.compare.comparison import compare
from minitrain.compare.curves_plot import styles_of_values
from minitrain.compare.report import write_report
from minitrain.compare.results import Results, load_runs


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
    """A user of the page."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def texts(self, selector):
        """The visible texts, read in one step: the page may replace its rows between two steps."""
        script = "return [...document.querySelectorAll(arguments[0])].map(element => element.innerText)"
        return [text.strip().replace("\t", " ") for text in self.browser.execute_script(script, selector)]

    def column(self, number):
        return self.texts(f"#runs tbody tr[data-row] td:nth-child({number})")

    def head(self, name):
        return next(cell for cell in self.all(".scroll thead th") if cell.text.strip("▲▼ ") == name)

    def type(self, text):
        box = self.all("#filter")[0]
        box.clear()
        box.send_keys(text)

    def press(self, selector):
        self.all(selector)[0].click()

    def choose(self, selector, text):
        next(option for option in self.all(f"{selector} option") if option.text == text).click()

    def point(self, selector, x=0.5, y=0.5):
        """Move the mouse to a position within an element, as shares (0 to 1) from its left and top."""
        from selenium.webdriver import ActionChains

        (element,) = self.all(selector)
        size = element.size
        moves = ActionChains(self.browser)
        moves.move_to_element_with_offset(element, int((x - 0.5) * size["width"]), int((y - 0.5) * size["height"]))
        moves.perform()
        return moves

    def wait(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, 10, poll_frequency=0.05).until(lambda _: condition())

    def colored(self, canvas="lines"):
        """The number of pixels of a canvas whose color is not gray."""
        return self.browser.execute_script(
            """const canvas = document.getElementById(arguments[0]);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4)
              count += data[i + 3] > 99 && Math.max(...data.slice(i, i + 3)) - Math.min(...data.slice(i, i + 3)) > 40;
            return count;""",
            canvas,
        )

    @property
    def console_errors(self):
        """Errors of the script and violations of the Content-Security-Policy."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def reader(browser, tmp_path):
    write_sweep(tmp_path)
    reader = Reader(browser, report(tmp_path))
    reader.wait(lambda: reader.colored() > 500)
    yield reader
    assert reader.console_errors == []


def test_rows_are_ranked_and_a_header_sorts_them(reader):
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
def test_all_terms_of_a_filter_must_match(reader, text, runs):
    before = reader.colored()
    reader.type(text)
    assert {int(name) for name in reader.column(1)} == runs
    if len(runs) < 13:
        assert reader.texts("#match-count") == [f"{len(runs)} of 13 runs"]
        reader.wait(lambda: reader.colored() < before)


def test_filter_reports_an_unknown_key(reader):
    reader.type("learning_rate<3")
    assert reader.texts("#match-count") == ["unknown key: learning_rate"]


def test_page_groups_equal_those_of_the_comparison(reader, tmp_path):
    reader.press("#show-groups")
    groups = compare(load_runs(tmp_path)).groups
    rows = [row.text.split() for row in reader.all("#groups tbody tr[data-row]")]
    actual = {(*row[:2], *row[2:6]) for row in rows}

    def percent(value):
        return "–" if math.isnan(value) else f"{value:.2%}"

    assert actual == {
        (str(group.values["activation"]), str(group.values["lr"]), percent(group.mean), percent(group.deviation),
         str(len(group.runs)), str(group.count("diverged"))) for group in groups
    }  # fmt: skip
    reader.type("seed=1")
    assert [row.text.split()[4] for row in reader.all("#groups tbody tr[data-row]")] == ["1"] * 4
    reader.press("#groups tbody tr[data-row]")
    assert reader.all("#filter")[0].get_attribute("value") == "activation=relu lr=0.5"


def test_hovering_a_line_shows_a_tooltip_and_highlights_its_row(reader):
    reader.choose("#metric", "train_loss")
    reader.type("lr=0.01 seed=0 activation=relu")
    reader.wait(lambda: reader.column(1) == ["0"] and 100 < reader.colored() < 3000)
    reader.point("#plot", 0.1, 0.1)
    reader.wait(lambda: reader.all("#tooltip")[0].is_displayed())
    tooltip = reader.texts("#tooltip")[0].split("\n")
    assert tooltip[0] == "0"
    assert {"lr", "0.01", "activation", "relu"} <= set(tooltip)
    assert any(re.fullmatch(r"train_loss at step \d+", line) for line in tooltip)
    assert reader.colored("marks") > 100
    assert reader.all("#runs tr.lit")[0].get_attribute("data-row") == "0"


def test_hovering_a_row_highlights_its_line(reader):
    assert reader.colored("marks") == 0
    reader.point('#runs tr[data-row="3"]')
    reader.wait(lambda: reader.colored("marks") > 100)


def test_selected_runs_are_compared_and_differences_are_highlighted(reader):
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


def test_clicking_a_line_selects_its_run(reader):
    reader.choose("#metric", "train_loss")
    reader.type("lr=0.01 seed=0 activation=relu")
    reader.wait(lambda: 100 < reader.colored() < 3000)
    reader.point("#plot", 0.1, 0.1).click().perform()
    reader.wait(lambda: reader.texts("#details strong") == ["Selected run"])
    assert str(reader.all("#details tbody td")[1].text).endswith("/0")


def test_failed_run_shows_its_error(reader):
    reader.type("failed")
    reader.press("#runs tbody tr[data-row]")
    assert "ValueError: no such thing" in reader.texts("#details td")


def test_keyboard_moves_through_rows_and_selects_them(reader):
    (first,) = reader.all('#runs tr[tabindex="0"]')
    first.send_keys("\ue015")  # down
    reader.browser.switch_to.active_element.send_keys("\ue010")  # end
    reader.browser.switch_to.active_element.send_keys(" ")
    assert reader.browser.switch_to.active_element.get_attribute("data-row") == "12"
    assert reader.texts("#details strong") == ["Selected run"]


def test_scale_smoothing_and_zoom_change_the_plot(reader):
    def picture():
        return reader.browser.execute_script("return document.getElementById('lines').toDataURL()")

    whole = picture()
    for control, key, reset_key in (("#log", " ", " "), ("#smoothing", "\ue010", "\ue011")):  # keys: end and home
        reader.all(control)[0].send_keys(key)
        reader.wait(lambda: picture() != whole)
        reader.all(control)[0].send_keys(reset_key)
        reader.wait(lambda: picture() == whole)
    reader.point("#plot", 0.2, 0.2).click_and_hold().move_by_offset(200, 100).release().perform()
    reader.wait(lambda: reader.texts("#whole") == ["Reset zoom"] and picture() != whole)
    reader.press("#whole")
    reader.wait(lambda: picture() == whole)
    assert not reader.all("#details")[0].is_displayed()


def test_null_is_allowed_among_numbers(browser, tmp_path):
    for number, l2 in enumerate([0.01, None, 0.1]):
        write_run(tmp_path / str(number), {"l2": l2}, falling(9))
    reader = Reader(browser, report(tmp_path))
    reader.head("l2").find_element("tag name", "button").click()
    assert reader.column(2) == ["0.01", "0.1", "null"]
    assert reader.texts("#legend > *") == ["l2", "0.01", "0.1", "null"]
    reader.type("l2=null")
    assert reader.column(1) == ["1"]


def test_theme_can_be_switched(reader):
    def ground():
        return reader.browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    before = ground()
    reader.press("#theme")
    after = ground()
    reader.press("#theme")
    assert (ground(), after) == (before, "rgb(21, 23, 27)" if before == "rgb(255, 255, 255)" else "rgb(255, 255, 255)")


def test_every_control_is_labeled_and_every_color_is_in_the_legend(reader):
    unnamed = reader.browser.execute_script(
        "return [...document.querySelectorAll('button, input, select, canvas[role]')].filter((control) => "
        "!(control.textContent.trim() || control.ariaLabel || control.labels?.length))"
        ".map((control) => control.outerHTML)"
    )
    assert unnamed == []
    assert reader.texts("#legend > *") == ["activation", "relu", "silu"]
    reader.choose("#color", "lr")
    assert reader.texts("#legend > *") == ["lr", "0.01", "0.5"]


def test_untrusted_values_are_shown_but_not_executed(browser, tmp_path):
    write_run(
        tmp_path / "<img src=x onerror=alert(2)>", {"activation": UNTRUSTED, "__proto__": 3}, falling(5), "completed"
    )
    write_run(
        tmp_path / "1",
        {"lr": UNTRUSTED, "constructor": UNTRUSTED},
        {"step": [0], "<b>": [2.0]},
        "failed",
        error=UNTRUSTED,
    )
    write_run(tmp_path / UNTRUSTED.replace("/", ""), None, falling(5), UNTRUSTED)  # is skipped
    reader = Reader(browser, report(tmp_path, metric="<b>", title=UNTRUSTED))
    assert reader.texts("h1")[0].startswith("</script><img")
    reader.press('#runs tr[data-row="0"]')
    reader.press('#runs tr[data-row="1"]')
    reader.point("#plot")
    reader.choose("#color", "activation")
    reader.type('activation="</script><img src=x onerror=alert(1)>"')
    assert any("onerror" in text for text in reader.texts("#details td"))
    assert reader.all("img") == []
    assert reader.console_errors == []


def test_runs_without_values_are_listed(browser, tmp_path):
    write_run(tmp_path / "0", None, None, "running")
    reader = Reader(browser, report(tmp_path))
    assert reader.column(1) == ["0"]
    assert not reader.all("#plot")[0].is_displayed()
    reader.press("#show-groups")
    assert reader.texts("#groups tbody tr[data-row] td")[:2] == ["all", "–"]
    assert reader.console_errors == []


def test_only_visible_rows_are_rendered(browser, tmp_path):
    write_run(tmp_path / "0", {"lr": 0.1}, falling(20))
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
    assert reader.console_errors == []


def test_page_of_a_real_sweep(browser, command):
    command("-m", "lr=0.1,0.3", "seed=range(2)", "data=moons", "data.samples=100", "network.widths=[8]", "steps=60")
    reader = Reader(browser, report(Path("outputs").resolve()))
    assert sorted(reader.column(1)) == ["0", "1", "2", "3"]
    assert set(reader.column(4)) == {"completed"}
    reader.wait(lambda: reader.colored() > 300)
    assert reader.console_errors == []


def legend_colors(reader):
    """Text of each entry of the legend -> its color."""
    script = """return [...document.querySelectorAll("#legend > span")].map((entry) =>
        [entry.innerText.trim(), getComputedStyle(entry.querySelector(".swatch")).background])"""
    return dict(reader.browser.execute_script(script))


def set_theme(reader, scheme):
    reader.browser.execute_script("document.documentElement.style.colorScheme = arguments[0]", scheme)
    reader.browser.execute_script("document.getElementById('color').dispatchEvent(new Event('change'))")


@pytest.mark.parametrize("key", ["lr", "activation", "network.widths", "l2"])
def test_colors_equal_those_of_the_figures(browser, tmp_path, key):
    values = {
        "lr": [0.01, 0.1, 0.3], "activation": [f"a{i}" for i in range(12)], "network.widths": [[8], [16], [128]],
        "l2": [None, 1.0, 4.0],
    }[key]  # fmt: skip
    for number, value in enumerate(values):
        changes = {"network": {"name": "mlp", "widths": value}} if key == "network.widths" else {key: value}
        write_run(tmp_path / str(number), changes, falling(9))
    reader = Reader(browser, report(tmp_path))
    set_theme(reader, "light")
    styles = styles_of_values(compare(load_runs(tmp_path)), key)
    backgrounds = legend_colors(reader)
    assert backgrounds.keys() == styles.keys()
    for text, (color, dashes) in styles.items():
        drawn = [int(channel) for channel in re.search(r"rgb\((\d+), (\d+), (\d+)\)", backgrounds[text]).groups()]
        np.testing.assert_allclose(drawn, 255 * np.array(to_rgb(color)), atol=3)
        assert ("repeating-linear-gradient" in backgrounds[text]) == (dashes != "-")


def test_accuracies_have_a_linear_axis_that_begins_at_the_useful_range(browser, tmp_path):
    rise = {"step": [0, 10, 20, 30], "train_loss": [1, 0.1, 0.01, 0.001], "val_accuracy": [0.01, 0.95, 0.97, 0.98]}
    write_run(tmp_path / "0", {"lr": 0.1}, rise)
    reader = Reader(browser, report(tmp_path))
    assert not reader.all("#log")[0].is_selected()
    assert reader.texts("#whole") == ["Whole range"]  # a part is not shown
    reader.press("#whole")
    reader.wait(lambda: reader.texts("#whole") == ["Useful range"])
    reader.choose("#metric", "train_loss")
    assert reader.all("#log")[0].is_selected()
    assert reader.console_errors == []


def test_window_of_the_smoothing_is_stated(reader):
    assert reader.texts("#window") == [""]
    reader.all("#smoothing")[0].send_keys("\ue010")
    assert reader.texts("#window") == ["exponential mean over ±78 steps"]  # 20% of 390


def test_runs_that_are_not_ranked_keep_their_order_and_say_why(browser, tmp_path):
    for number, (loss, value) in enumerate((("mse", 3.0), ("huber", 1.0))):
        write_run(tmp_path / str(number), {"loss": loss}, {"step": [0, 10], "train_loss": [4.0, value]})
    reader = Reader(browser, report(tmp_path))
    assert reader.column(1) == ["0", "1"]
    assert reader.texts(".note")[0].startswith("not ranked: different losses (loss)")
    assert "not ranked" in reader.texts(".about")[0]
    assert reader.console_errors == []


def test_groups_with_diverged_runs_are_last(browser, tmp_path):
    for number, (lr, loss, status) in enumerate([
        (0.1, 2.0, "completed"), (0.1, 2.0, "completed"), (1.0, 1.0, "completed"), (1.0, 1.0, "diverged"),
    ]):  # fmt: skip
        write_run(
            tmp_path / str(number), {"lr": lr, "seed": number}, {"step": [0, 10], "train_loss": [3, loss]}, status
        )
    reader = Reader(browser, report(tmp_path))
    reader.press("#show-groups")
    assert reader.texts("#groups tbody tr[data-row] td:first-child") == ["0.1", "1"]
    write_report(compare(load_runs(tmp_path), allow_diverged=True), {}, tmp_path / "report.html", "title")
    reader = Reader(browser, tmp_path / "report.html")
    reader.press("#show-groups")
    assert reader.texts("#groups tbody tr[data-row] td:first-child") == ["1", "0.1"]
