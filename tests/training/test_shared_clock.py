"""The time of a run is its share of the time of its group."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import SMALL, train_run

from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.summary import read_summary
from minitrain.training import shared_clock
from minitrain.training.shared_clock import SharedClock


@pytest.fixture
def now(monkeypatch):
    """A clock that the test sets."""
    moment = [100.0]
    monkeypatch.setattr(shared_clock.time, "perf_counter", lambda: moment[0])
    return moment


def test_a_run_alone_has_all_of_the_time(now):
    clock = SharedClock(earlier=5.0, earlier_wall=7.0)
    now[0] += 3
    assert (clock.seconds(), clock.wall_seconds()) == (8.0, 10.0)


def test_a_share_grows_when_other_runs_leave_the_group(now):
    clock = SharedClock()
    now[0] += 4  # compilation, before the group begins
    clock.share(4)
    now[0] += 8
    clock.share(2)
    now[0] += 10
    assert (clock.seconds(), clock.wall_seconds()) == (1 + 2 + 5, 22)


def test_a_resumed_run_adds_its_time_to_that_of_earlier_sessions(tmp_path):
    train_run(replace(SMALL, steps=20), tmp_path)
    path = tmp_path / "checkpoints" / "last.npz"
    arrays, progress = load_checkpoint(path)
    save_checkpoint(path, arrays, replace(progress, seconds=1e6, wall_seconds=2e6))
    summary = train_run(SMALL, tmp_path, resume=True)
    assert summary.seconds > 1e6
    assert summary.wall_seconds > 2e6
    assert summary.steps_per_second > 0.1  # 40 steps in the time of this session alone


def test_a_run_of_a_sweep_has_a_share_of_the_time_of_its_group(command):
    """Two groups of four runs, in which two diverge at once."""
    assert command("-m", "data=moons", "steps=60", "seed=range(4)", "lr=0.1,1e30", "hydra.sweep.dir=swept")[0] == 0
    summaries = [read_summary(path.parent) for path in Path("swept").glob("*/summary.json")]
    assert len(summaries) == 8
    assert all(0 < s.seconds <= s.wall_seconds / 2 + 0.001 for s in summaries)  # rounded to 0.001 s
