"""`minitrain compare`."""

import csv
import json
import re
import struct
from pathlib import Path

import pytest
from factories import curve, make_grid, make_run


def test_command_prints_a_table_and_writes_figures(command, tmp_path):
    make_grid(tmp_path / "grid")
    status, out, err = command("compare", "grid", "--output", "here")
    assert (status, err) == (0, "")
    assert out.startswith("18 runs in 6 groups: 15 completed, 3 diverged\n\n")
    assert {path.name for path in Path("here").iterdir()} >= {
        f"{name}.{suffix}" for name in ("comparison", "heatmap", "values") for suffix in ("png", "svg")
    }


def test_directory_without_runs_is_reported_and_the_others_are_compared(command, tmp_path):
    make_grid(tmp_path / "grid")
    (tmp_path / "photos").mkdir()
    status, out, err = command("compare", "photos", "grid", "--csv", "-")
    assert status == 0
    assert err == "skipped  photos: contains no run\n"
    assert out.startswith("lr,activation,runs,")


def test_only_a_comparison_without_options_replaces_that_of_the_sweep(command, tmp_path):
    make_grid(tmp_path / "grid")
    (tmp_path / "grid" / "multirun.yaml").write_text("hydra: {overrides: {task: [lr=1]}}")
    command("compare", "grid", "--filter", "lr<1")
    assert not (tmp_path / "grid" / "comparison.png").exists()
    assert len(list((tmp_path / "outputs" / "comparisons").glob("*/*/comparison.png"))) == 1
    command("compare", "grid")
    assert (tmp_path / "grid" / "comparison.png").exists()


def test_csv_and_json_have_one_row_per_group(command, tmp_path):
    make_grid(tmp_path / "grid")
    _, out, _ = command("compare", "grid", "--csv", "-")
    rows = list(csv.DictReader(out.splitlines()))
    assert [(row["lr"], row["activation"], row["diverged"]) for row in rows][::5] == [
        ("0.1", "relu", "0"),
        ("1", "tanh", "3"),
    ]
    assert float(rows[0]["last val_accuracy"]) == pytest.approx(0.96)
    assert rows[-1]["best"] == ""
    _, out, _ = command("compare", "grid", "--json", "-")
    table = json.loads(out)
    assert table["ranked_by"] == "last val_accuracy"
    assert [len(group["directories"]) for group in table["groups"]] == [3] * 6


def test_single_run_is_counted_in_the_singular(command, tmp_path):
    make_run(tmp_path / "run")
    assert command("compare", "run")[1].startswith("1 run in 1 group: 1 completed\n")


def test_tables_and_figures_are_written_together(command, tmp_path):
    make_grid(tmp_path / "grid")
    status, out, _ = command("compare", "grid", "--csv", "new/a.csv", "--json", "new/a.json", "--output", "here")
    assert status == 0
    assert Path("new/a.csv").read_text() == command("compare", "grid", "--csv", "-")[1]
    assert Path("new/a.json").read_text() == command("compare", "grid", "--json", "-")[1]
    assert out.endswith("csv         new/a.csv\njson        new/a.json\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: DIR"),
        (["none"], "compare: none: no such directory"),
        (["grid", "none"], "compare: none: no such directory"),
        (["grid", ""], "compare: '': no such directory"),
        (["file"], "compare: file: not a directory"),
        (["grid", "--csv", "-", "--json", "a.json"], "--csv -: prints only this table; omit --json"),
        (["grid", "--csv", "a.csv", "--json", "-"], "--json -: prints only this table; omit --csv"),
        (["grid", "--csv", "grid"], "--csv grid: expected a file to write, not a directory"),
        (["grid", "--csv", "a.csv", "--json", "file/in/a.json"], "--json file/in/a.json: file is a file"),
        (["grid", "--csv", "a.csv", "--output", "file"], "--output file: file is a file; expected a directory"),
        (["old", "--csv", "a.csv", "--x", "epoch"], "has not recorded its steps per epoch"),
        (["grid", "--csv", "a.csv", "--filter", "lr>9"], "lr>9: matches none of 18 runs; values of lr: 0.01, 0.1, 1"),
        (["grid", "--smooth", "²"], "²: expected an integer at least 0"),
        (["grid", "--metric", "accuracy"], "no run has this metric; available: train_loss, val_accuracy"),
        (["grid", "--group-by", "rate"], "rate: no run has this key"),
        (["grid", "--filter", "lr"], "expected KEY<VALUE"),
        (["grid", "--filter", "rl<3"], "rl: no run has this key"),
        (["grid", "--best", "first"], "invalid choice: 'first'"),
        (["grid", "--smooth", "-1"], "expected an integer at least 0"),
        (["grid", "--smooth", "mean:3"], "mean:3: expected N, exponential:N or median:N"),
        (["grid", "--size", "6"], "--size: 6: expected width and height of 2 to 60 inches, such as 6x4"),
        (["grid", "--size", "1e9x4"], "1e9x4: expected width and height of 2 to 60 inches"),
        (
            ["grid", "--size", "3x2"],
            "--size 3x2: too small for comparison.png with texts of 10 points; choose",
        ),
        (["grid", "--size", "6x4", "--font-size", "40"], "too small for comparison.png with texts of 40 points"),
        (["grid", "--font-size", "nan"], "--font-size: nan: expected 4 to 40 points"),
        (["grid", "--format", "gif"], "--format: invalid choice: 'gif'"),
        (["old", "--x", "epoch"], "has not recorded its steps per epoch; use --x step"),
        (["grid", "--color"], "unrecognized arguments: --color"),
    ],
)
def test_invalid_options_are_reported_in_one_line(command, tmp_path, arguments, message):
    make_grid(tmp_path / "grid")
    make_run(tmp_path / "old", steps_per_epoch=None)
    (tmp_path / "file").touch()
    status, out, err = command("compare", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"grid", "old", "file"}


def test_sweep_ends_with_its_comparison(command):
    small = ["data=moons", "data.samples=60", "network.widths=[4]", "steps=20", "eval_every=10", "batch_size=10"]
    status, out, _ = command("-m", "lr=0.1,0.2,0.3", "activation=relu,tanh", *small, "hydra.sweep.dir=swept")
    assert status == 0
    assert {path.name for path in Path("swept").glob("*.png")} == {"comparison.png", "heatmap.png", "values.png"}
    table = command("compare", "swept")[1].partition("\n\n")[2].partition("\n\n")[0]
    assert len(table.splitlines()) == 7
    assert table in out


def test_look_of_the_figures_can_be_chosen(command, tmp_path):
    make_grid(tmp_path / "grid")
    look = ["--title", "Ours & theirs", "--size", "6x4", "--font-size", "14", "--format", "pdf", "--format", "svg"]
    status, _, _ = command("compare", "grid", "--output", "here", "--smooth", "median:1", *look)
    assert status == 0
    names = {f"{name}.{suffix}" for name in ("comparison", "heatmap", "values") for suffix in ("png", "svg", "pdf")}
    assert {path.name for path in Path("here").iterdir()} == {*names, "report.html"}
    for name in ("comparison", "heatmap", "values"):
        assert image_size(Path("here", f"{name}.png")) == (6 * 120, 4 * 120)
    drawing = Path("here", "comparison.svg").read_text()
    assert "Ours &amp; theirs" in drawing  # texts are texts
    assert "14px" in drawing
    assert "<h1>Ours &amp; theirs</h1>" in Path("here", "report.html").read_text()


def image_size(path):
    """Width and height in the header of a PNG."""
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_titles_say_what_is_compared_and_the_page_has_the_command(command, tmp_path):
    make_grid(tmp_path / "grid")
    (tmp_path / "grid" / "multirun.yaml").write_text("hydra: {overrides: {task: ['lr=0.01,0.1,1']}}")
    command("compare", "grid")
    page = Path("grid", "report.html").read_text()
    assert "<h1>Validation accuracy by lr and activation (mlp on digits)</h1>" in page
    assert "<code>lr=0.01,0.1,1</code>" in page
    assert "Validation accuracy by lr and activation (mlp on digits)" in Path("grid", "comparison.svg").read_text()


def test_group_with_diverged_runs_can_be_the_best(command, tmp_path):
    for seed, status in enumerate(("completed", "diverged")):
        make_run(tmp_path / "runs" / str(seed), {"lr": 1.0, "seed": seed}, {"val_accuracy": curve(0.9)}, status)
        make_run(tmp_path / "runs" / f"low{seed}", {"lr": 0.1, "seed": seed}, {"val_accuracy": curve(0.8)})
    starred = r"^\*  (\S+)"
    assert re.search(starred, command("compare", "runs")[1], re.MULTILINE)[1] == "0.1"
    assert re.search(starred, command("compare", "runs", "--allow-diverged")[1], re.MULTILINE)[1] == "1"
