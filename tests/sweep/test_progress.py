"""What a sweep reports: its plan, and sweep.csv."""

import json
from pathlib import Path

import pytest
from sweep_runs import SMALL

from minitrain.sweep.grouping import RunGroup
from minitrain.sweep.progress import format_dry_run, format_plan


def test_sweep_csv_has_a_row_for_every_run(command):
    assert command("-m", "lr=0.1,0.3", "seed=0,1", *SMALL, "hydra.sweep.dir=swept")[0] == 0
    lines = (Path("swept") / "sweep.csv").read_text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("run,lr,seed,data")
    assert lines[0].endswith(",status,step,final,best,metric,best_step,seconds")
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2", "3"]
    summary = json.loads((Path("swept") / "2" / "summary.json").read_text())
    assert str(summary["best"]["value"]) in lines[3]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1], "1 group of 1 run on 1 core, 1.0 MB of buffers"),
        ([5, 5, 5, 3], "4 groups of up to 5 runs on 2 cores, 10.0 MB of buffers"),
    ],
)
def test_the_plan_states_groups_cores_and_memory(sizes, expected):
    groups = [RunGroup(tuple(range(size)), size * 2**20, 1.0) for size in sizes]
    assert format_plan(groups, 2) == expected


@pytest.mark.parametrize(("runs", "listed"), [(1, 1), (10, 10), (11, 11), (30, 11)])
def test_a_dry_run_lists_the_first_and_last_jobs(runs, listed):
    jobs = [[f"seed={number}"] for number in range(runs)]
    lines = format_dry_run(jobs, [RunGroup(tuple(range(runs)), 0, 1.0)], 1).splitlines()[:-3]
    assert len(lines) == listed
    assert (lines[0], lines[-1]) == ("#0 seed=0", f"#{runs - 1} seed={runs - 1}")
