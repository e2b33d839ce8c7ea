"""A run's directory: claimed once, written whole, read back or refused."""

import errno
import io
import json
import os
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from minitrain.errors import RecordError
from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.directories import claim_directory
from minitrain.storage.files import reject_special_files, write_atomically
from minitrain.storage.metrics_file import MetricsWriter, read_metrics
from minitrain.storage.summary import RunProgress, Status, Summary, read_summary, write_summary

META = RunProgress(step=7, best=None, final={"val_loss": 0.5}, seconds=1.0)
SUMMARY = Summary(Status.RUNNING, steps=9, overrides=[], **vars(META))
ARRAYS = {"parameters/w": np.arange(6, dtype="float32").reshape(2, 3), "optimizer/m": np.zeros(0)}


def test_50_claims_at_the_same_moment_are_50_directories(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5)
    with ThreadPoolExecutor(50) as pool:
        claimed = set(pool.map(lambda _: claim_directory(tmp_path, "lr=0.3", moment), range(50)))
    assert len(claimed) == 50
    assert all(d.is_dir() and d.name.endswith("-lr=0.3") for d in claimed)


def test_names_are_short_and_safe(tmp_path):
    directory = claim_directory(tmp_path, "data=../../x y,ö=" + "a" * 300)
    assert directory.parent.parent == tmp_path
    assert len(directory.name.encode()) <= 150
    assert " " not in directory.name


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(OSError, match=r"disk full.*file"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


COLUMNS = ["step", "lr", "train_loss", "val_loss"]


def test_metrics_are_cut_back_to_a_step_byte_for_byte(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics = MetricsWriter(path, COLUMNS, from_step=0)
    for step in range(0, 50, 10):
        metrics.write({"step": step, "lr": 0.1, "train_loss": np.float32(1 / 3), "val_loss": 1e-17})
    metrics.close()
    whole = path.read_bytes()
    assert whole.splitlines()[1] == b"0,0.1,0.33333334,1e-17"
    path.write_bytes(whole + b"50,0.1,0.3")  # a row that a kill cut off
    MetricsWriter(path, COLUMNS, from_step=30).close()
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:4])


def test_metrics_read_back_with_nan_for_empty_cells(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,lr,train_loss\n0,0.3,\n10,0.3,inf\n20,0.")
    table = read_metrics(tmp_path)
    assert table["step"].tolist() == [0, 10]
    assert np.isnan(table["train_loss"][0])
    assert np.isinf(table["train_loss"][1])


@pytest.mark.parametrize("content", [None, "", "step,lr\n1,2,3\n", "step\nabc\n"])
def test_a_table_that_is_none_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(RecordError, match="not a valid table of metrics"):
        read_metrics(tmp_path)


def test_metrics_are_on_disk_within_a_flush(tmp_path):
    metrics = MetricsWriter(tmp_path / "metrics.csv", COLUMNS, from_step=0)
    metrics.write({"step": 0})
    metrics.flush(at_most_every=1000)
    assert len(read_metrics(tmp_path)["step"]) == 0
    metrics.flush()
    assert len(read_metrics(tmp_path)["step"]) == 1
    metrics.close()


@pytest.mark.parametrize("content", [None, "", "[1]", "{"])
def test_a_summary_that_is_none_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(RecordError, match="summary"):
        read_summary(tmp_path)
    write_summary(tmp_path, SUMMARY)
    assert read_summary(tmp_path) == SUMMARY


@pytest.mark.parametrize(
    ("wrong", "told"),
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
def test_what_a_summary_or_a_checkpoint_tells_has_its_types(tmp_path, wrong, told):
    write_summary(tmp_path, replace(SUMMARY, **wrong))
    with pytest.raises(RecordError, match=rf"summary.json: not a valid run summary \({told}"):
        read_summary(tmp_path)
    if "status" not in wrong:
        save_checkpoint(tmp_path / "last.npz", ARRAYS, replace(META, **wrong))
        with pytest.raises(RecordError, match=rf"last.npz: not the checkpoint of a run \({told}"):
            load_checkpoint(tmp_path / "last.npz")


def test_a_directory_with_a_link_in_it_is_not_written_to(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(run)
    reject_special_files(tmp_path / "link")
    (run / "checkpoints" / "last.npz").symlink_to(tmp_path / "another")
    with pytest.raises(RecordError, match=r"last.npz: is a symbolic link"):
        reject_special_files(tmp_path / "link")


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "summary.json")
    (tmp_path / "metrics.csv").symlink_to("/dev/zero")
    for read in (read_summary, read_metrics):
        with pytest.raises(RecordError, match="not a regular file"):
            read(tmp_path)
    with pytest.raises(RecordError, match="not a regular file"):
        load_checkpoint(tmp_path / "summary.json")


def test_checkpoints_come_back_and_equal_ones_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / f"{name}.npz", ARRAYS, META)
    arrays, meta = load_checkpoint(tmp_path / "a.npz")
    assert meta == META
    assert all((arrays[key] == ARRAYS[key]).all() and arrays[key].dtype == ARRAYS[key].dtype for key in ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "last.npz"
    save_checkpoint(path, ARRAYS, META)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(1000):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        try:
            arrays, meta = load_checkpoint(path)
        except RecordError:
            continue
        # A flip where the format keeps nothing of value (a date, an attribute) leaves all of it right.
        assert meta == META
        assert all((arrays[key] == ARRAYS[key]).all() for key in ARRAYS)
    for cut in range(len(good)):
        path.write_bytes(good[:cut])
        with pytest.raises(RecordError, match="not a usable checkpoint"):
            load_checkpoint(path)


def bomb_of_zeros(path):
    """10 kB that would be 10 MB."""
    np.savez_compressed(path, meta=np.zeros(10**7, np.uint8), checksum=np.zeros(32, np.uint8))


def bomb_of_a_header(path):
    """An array that says it has a thousand million numbers."""
    file = io.BytesIO()
    np.save(file, np.zeros(100, np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.npy", file.getvalue().replace(b"(100,), }" + b" " * 7, b"(1000000000,), }"))


@pytest.mark.parametrize("make", [bomb_of_zeros, bomb_of_a_header])
def test_what_is_larger_inside_than_outside_is_refused_before_it_takes_memory(tmp_path, make):
    path = tmp_path / "last.npz"
    make(path)
    tracemalloc.start()
    with pytest.raises(RecordError, match="not a usable checkpoint"):
        load_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_checksum_that_does_not_fit_and_a_pickle_are_refused(tmp_path):
    path = tmp_path / "last.npz"
    meta = np.frombuffer(json.dumps({"step": 1}).encode(), np.uint8)
    np.savez(path, meta=meta, checksum=np.zeros(32, np.uint8))
    with pytest.raises(RecordError, match="checksum is wrong"):
        load_checkpoint(path)
    np.savez(path, meta=np.array([{"step": 1}], dtype=object), checksum=np.zeros(32, np.uint8))
    with pytest.raises(RecordError, match="no npz file of plain arrays"):
        load_checkpoint(path)
