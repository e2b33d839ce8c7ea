"""summary.json, and the progress in it and in checkpoints, are validated when they are read."""

import os
from dataclasses import replace

import numpy as np
import pytest

from minitrain.errors import RecordError
from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import RunProgress, Status, Summary, exit_status, read_summary, write_summary

PROGRESS = RunProgress(step=7, best=None, final={"val_loss": 0.5}, seconds=1.0, wall_seconds=2.0)
SUMMARY = Summary(Status.RUNNING, steps=9, overrides=[], **vars(PROGRESS))


@pytest.mark.parametrize("content", [None, "", "[1]", "{"])
def test_invalid_summaries_are_rejected(tmp_path, content):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(RecordError, match="summary"):
        read_summary(tmp_path)
    write_summary(tmp_path, SUMMARY)
    assert read_summary(tmp_path) == SUMMARY


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": {}}, "status: expected str"),
        ({"step": "9"}, "step: expected int"),
        ({"step": True}, "step: expected int"),
        ({"step": -1}, "step: expected at least 0"),
        ({"best": 3}, "best: expected dict or null"),
        ({"best": {"metric": "val_loss", "value": "x", "step": 1}}, "value: expected float or int"),
        ({"final": {"val_loss": []}}, "val_loss: expected float or int"),
        ({"seconds": None}, "seconds: expected float or int"),
    ],
)
def test_types_in_summaries_and_checkpoints_are_validated(tmp_path, changes, message):
    write_summary(tmp_path, replace(SUMMARY, **changes))
    with pytest.raises(RecordError, match=rf"summary.json: not a valid run summary \({message}"):
        read_summary(tmp_path)
    if "status" not in changes:
        save_checkpoint(tmp_path / "last.npz", {"parameters/w": np.zeros(1)}, replace(PROGRESS, **changes))
        with pytest.raises(RecordError, match=rf"last.npz: not the checkpoint of a run \({message}"):
            load_checkpoint(tmp_path / "last.npz")


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "summary.json")
    (tmp_path / "metrics.csv").symlink_to("/dev/zero")
    for reader in (read_summary, read_metrics):
        with pytest.raises(RecordError, match="not a regular file"):
            reader(tmp_path)
    with pytest.raises(RecordError, match="not a regular file"):
        load_checkpoint(tmp_path / "summary.json")


def test_exit_status_of_runs():
    completed, diverged, failed = (
        SUMMARY.with_status(status) for status in (Status.COMPLETED, Status.DIVERGED, Status.FAILED)
    )
    assert exit_status([completed, diverged], fails_on_divergence=False) == 0
    assert exit_status([completed, diverged], fails_on_divergence=True) == 1
    assert exit_status([completed, failed], fails_on_divergence=False) == 1
    assert exit_status([], fails_on_divergence=False) == 1
