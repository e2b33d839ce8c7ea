"""The jobs of a sweep: combinations, keys that vary together, random samples, repeats; and a dry run."""

import tracemalloc
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from minitrain.config.sweep_grid import expand_grid
from minitrain.errors import ConfigError

SMALL = ["data=moons", "data.samples=60", "network.widths=[4]", "batch_size=20", "steps=5"]


def jobs(*overrides, seed=0):
    return expand_grid(OverridesParser.create().parse_overrides(list(overrides)), seed)


def test_grid_is_every_combination_with_the_last_key_fastest():
    assert jobs("lr=0.1,0.3", "seed=range(2)", "steps=5") == [
        ["lr=0.1", "seed=0", "steps=5"],
        ["lr=0.1", "seed=1", "steps=5"],
        ["lr=0.3", "seed=0", "steps=5"],
        ["lr=0.3", "seed=1", "steps=5"],
    ]


def test_zipped_keys_vary_together():
    assert jobs("lr=0.1,0.3", "network.widths=[8],[16]", "seed=0,1", "zip=[lr,network.widths]") == [
        ["lr=0.1", "network.widths=[8]", "seed=0"],
        ["lr=0.1", "network.widths=[8]", "seed=1"],
        ["lr=0.3", "network.widths=[16]", "seed=0"],
        ["lr=0.3", "network.widths=[16]", "seed=1"],
    ]


def test_repeats_count_seeds_from_the_seed_of_the_run():
    assert jobs("lr=0.1,0.3", "repeats=2", seed=5) == [
        ["lr=0.1", "seed=5"], ["lr=0.1", "seed=6"], ["lr=0.3", "seed=5"], ["lr=0.3", "seed=6"],
    ]  # fmt: skip


def test_samples_are_a_function_of_sample_seed_and_lie_in_their_ranges():
    overrides = ["lr=tag(log,interval(1e-4,1))", "steps=int(interval(5,9))", "activation=relu,silu"]
    sampled = jobs(*overrides, "samples=50")
    assert sampled == jobs(*overrides, "samples=50")
    assert sampled != jobs(*overrides, "samples=50", "sample_seed=1")
    assert sampled[:10] == jobs(*overrides, "samples=10")
    rates = [float(job[0].partition("=")[2]) for job in sampled]
    assert 1e-4 <= min(rates) < 1e-3 < 1e-1 < max(rates) <= 1
    assert {job[1] for job in sampled} == {f"steps={n}" for n in range(5, 10)}
    assert {job[2] for job in sampled} == {"activation=relu", "activation=silu"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["lr=0.1,0.3", "seed=0,1,2", "zip=[lr,seed]"], "zip: lr has 2 values and seed has 3; give equally many"),
        (["lr=0.1,0.3", "zip=[lr]"], "expected two or more keys"),
        (["lr=0.1,0.3", "zip=[lr,steps]"], "zip: steps has no list of values to pair"),
        (["lr=interval(0,1)"], "the grid needs values: .*; to sample, add samples=20"),
        (["lr=interval(1,0)", "samples=2"], "low below high"),
        (["lr=tag(log,interval(0,1))", "samples=2"], "a logarithmic interval needs numbers above 0"),
        (["activation=relu,silu", "samples=3"], "only 2 different jobs exist; request at most 2"),
        (["lr=0.1", "samples=3"], "nothing to sample"),
        (["lr=0.1,0.3", "sample_seed=3"], "nothing is sampled; add samples"),
        (["seed=0,1", "repeats=3"], "seed has several values"),
        (["lr=0.1", "repeats=0"], "repeats=0: expected an integer at least 1"),
        (["lr=0.1,0.3", "samples=1.5"], "samples=1.5: expected an integer at least 1"),
    ],
)
def test_sweep_key_that_cannot_be_applied_is_an_error(overrides, message):
    with pytest.raises(ConfigError, match=message):
        jobs(*overrides)


def test_sweep_keys_are_in_the_files_of_the_sweep_but_not_of_its_runs(command):
    status, out, err = command("-m", "lr=0.1,0.3", "repeats=2", *SMALL, "hydra.sweep.dir=swept")
    assert status == 0, out + err
    assert sorted(run.name for run in Path("swept").iterdir() if run.is_dir()) == ["0", "1", "2", "3"]
    assert "repeats" not in (Path("swept") / "0" / ".hydra" / "config.yaml").read_text()
    assert "repeats=2" in (Path("swept") / "multirun.yaml").read_text()
    assert "seed: 1" in (Path("swept") / "1" / ".hydra" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["repeats=2"], "repeats=2: a key of a sweep, not of a run; add -m"),
        (["-m", "lr=0.1,0.1"], "runs 0 and 1 are the same"),
        (["-m", "lr=0.1,-1"], "lr=-1"),
        (["-m", "--dry-run", "lr=0.1,-1"], "lr=-1"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(command, arguments, message):
    status, out, err = command(*arguments, *SMALL)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not out
    assert not list(Path().iterdir())


@pytest.mark.parametrize("arguments", [["-m", "lr=0.1,0.3", "activation=relu,silu", "repeats=5"], []])
def test_dry_run_lists_the_runs_and_writes_nothing(command, arguments):
    status, out, _ = command("--dry-run", *arguments, *SMALL)
    assert status == 0
    assert "nothing was trained or written" in out
    assert ("20 runs: 2 groups" if arguments else "1 run: 1 group of 1 run") in out
    assert not list(Path().iterdir())


TOO_MANY = [
    ("seed=range(100000000)", "seed=range(100000000): 100,000,000 values; expected at most 100,000 in a sweep"),
    ("lr=range(0,1,1e-9)", "1,000,000,000 values"),
    ("seed=shuffle(range(100000000))", "100,000,000 values"),
    ("seed=range(1e400)", "inf values"),
    ("data=range(1e18)", "1,000,000,000,000,000,000 values"),
    ("seed=range(1000) lr=range(0,1,0.001)", "1,000,000 runs: expected at most 100,000 in a sweep; give fewer values"),
    ("seed=range(100000) lr=0.1,0.2", "200,000 runs"),
    ("lr=0.1,0.2 repeats=1000000000", "1,000,000,000 runs"),
    ("lr=interval(0,1) samples=1000000000", "1,000,000,000 runs"),
    ("lr=interval(0,1) samples=1000 repeats=1000", "1,000,000 runs"),
    ("seed=range(0,10,0)", "expected a step other than 0"),
]


@pytest.mark.parametrize(("arguments", "message"), TOO_MANY, ids=[arguments for arguments, _ in TOO_MANY])
@pytest.mark.parametrize("flags", [["-m"], ["-m", "--dry-run"]], ids=" ".join)
def test_sweep_with_too_many_runs_is_refused_without_expanding_it(command, flags, arguments, message):
    tracemalloc.start()
    status, out, err = command(*flags, *arguments.split())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert peak < 2**26


def test_study_with_too_many_runs_is_refused(command, tmp_path):
    (tmp_path / "experiments").mkdir()
    text = "# @package _global_\nhydra: {sweeper: {params: {seed: 'range(100000000)'}}}\n"
    (tmp_path / "experiments" / "mine.yaml").write_text(text)
    assert "100,000,000 values" in command("--config-dir", str(tmp_path), "-m", "experiments=mine")[2]
