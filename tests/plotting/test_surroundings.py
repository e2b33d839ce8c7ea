"""Figures and messages do not depend on the user's environment, and survive values and names that cannot be shown."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from command_runs import FAST, is_picture

from minitrain import cli
from minitrain.errors import ConfigError, printable
from minitrain.paths import PACKAGE
from minitrain.plotting.diagnostics import draw_diagnostics
from minitrain.plotting.figures import own_style
from minitrain.plotting.run_curves import draw_run

RC = "text.usetex: true\naxes.facecolor: red\nfont.size: 30\nsavefig.bbox: tight\nbackend: nosuch\nnosuchkey: 3\n"


@pytest.fixture
def figures_of(tmp_path):
    """The bytes of loss.png and loss.svg of a run in another process."""

    def draw(name, **changes):
        path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
        environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
        result = subprocess.run(
            [sys.executable, "-m", "minitrain", f"hydra.run.dir={name}", *FAST],
            cwd=tmp_path, env={**environment, "PYTHONPATH": path, **changes}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
        return [(tmp_path / name / f"loss.{suffix}").read_bytes() for suffix in ("png", "svg")]

    return draw


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nosuch", "TkAgg", ""])
def test_figures_do_not_depend_on_the_backend_of_the_environment(figures_of, backend):
    assert figures_of("own", MPLBACKEND=backend) == figures_of("plain")


def test_figures_do_not_depend_on_the_environment(figures_of, tmp_path):
    plain = figures_of("plain")
    (tmp_path / "matplotlibrc").write_text(RC)  # the current directory is searched first
    assert figures_of("own", MPLBACKEND="module://nosuch.backend") == plain


def test_settings_of_the_user_are_restored():
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "text.usetex": True}):
        with own_style():
            assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["text.usetex"]) == (10, False)
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["text.usetex"]) == (30, True)


def diverging(kind, count):
    exponents = {"growing": np.linspace(0, 304, count), "jump": np.where(np.arange(count) < count / 2, 0, 308)}[kind]
    return 10.0**exponents


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", [20, 200])
@pytest.mark.parametrize("kind", ["growing", "jump"])
def test_curve_of_a_diverging_float64_run_is_readable(tmp_path, monkeypatch, kind, count, sign):
    drawn = []
    for module in ("run_curves", "diagnostics"):
        monkeypatch.setattr(f"minitrain.plotting.{module}.save_figures", lambda figure, *_: drawn.append(figure))
    values = sign * diverging(kind, count)
    rows = [f"{step},0.1,{value!r},{value!r},{value!r}" for step, value in enumerate(values.tolist())]
    text = "\n".join(["step,lr,train_loss,val_loss,grad_norm", *rows, f"{count},0.1,inf,,"])
    (tmp_path / "metrics.csv").write_text(text + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_run(tmp_path, "title")
        draw_diagnostics(tmp_path, "title")
        for figure in drawn:
            figure.canvas.draw()
    low, high = drawn[0].axes[0].get_ylim()
    assert np.isfinite([low, high]).all()
    assert max(abs(low), abs(high)) < 1e120
    assert f"NaN or Inf at step {count}" in [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]


ESCAPES = [
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
    ("a\rb", "a\\rb"),
    ("a\nb", "a\\nb"),
    ("\x9b31m", "\\x9b31m"),  # an escape sequence in one character
    ("\u202eabc", "\\u202eabc"),
    ("\u2066abc\u2069", "\\u2066abc\\u2069"),
    ("a\u200bb", "a\\u200bb"),
    ("a\u2028b", "a\\u2028b"),
    ("caf\udce9", "caf\\udce9"),
    ("größe データ 🙂", "größe データ 🙂"),
]


@pytest.mark.parametrize(("text", "shown"), ESCAPES)
def test_message_shows_what_a_terminal_would_act_on(monkeypatch, capsys, text, shown):
    def fail(arguments):
        raise ConfigError(f"lr={text}: expected")

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main([]) == 2
    assert capsys.readouterr().err == f"minitrain: lr={shown}: expected\n"


@pytest.mark.parametrize(("text", "shown"), ESCAPES)
def test_command_line_with_such_a_value(command, text, shown):
    for arguments in (
        [f"activation={text}"],
        ["data=csv", f"data.path={text}"],
        [f"{text}=1"],
        [text],
        ["predict", text, "x"],
    ):
        status, out, err = command(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert text not in err or text == shown


def test_log_keeps_the_lines_of_tables():
    assert printable("a\tb\nc\x1b", keep="\n\t") == "a\tb\nc\\x1b"


@pytest.mark.parametrize("name", ["caf\udce9", "\x1b[31m", "\u202ex"])
def test_name_that_cannot_be_shown_does_not_break_a_figure_or_the_log(command, name):
    table = "t.csv" if "\udce9" in name else f"{name}.csv"  # a config cannot have a name that is no Unicode
    Path(table).write_text("a,b\n" + "1,x\n2,y\n" * 20)
    arguments = ["data=csv", f"data.path={table}", "batch_size=8", "steps=5"]
    status, out, err = command(*arguments, f"hydra.run.dir={name}")
    assert (status, err) == (0, "")
    assert f"loss curve  {printable(name)}/loss.png" in out
    assert f"loss curve  {printable(name)}/loss.png" in Path(name, "minitrain.log").read_text()
    assert all(is_picture(Path(name, f"loss.{suffix}")) for suffix in ("png", "svg"))
    status, out, err = command("-m", "seed=0,1", *FAST, f"hydra.sweep.dir={name} swept")
    assert (status, err) == (0, "")
    assert Path(f"{name} swept", "report.html").exists()


def test_run_in_a_directory_whose_name_is_no_unicode_is_resumed(command):
    name = "caf\udce9"
    assert command(*FAST, f"hydra.run.dir={name}")[0] == 0
    status, out, err = command("resume", name, "steps=50")
    assert (status, err) == (0, "")
    assert "completed 50 steps" in out
