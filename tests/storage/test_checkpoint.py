"""Checkpoints round-trip, and damaged or malicious ones are rejected before they take memory."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from minitrain.errors import RecordError
from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.summary import RunProgress

PROGRESS = RunProgress(step=7, best=None, final={"val_loss": 0.5}, seconds=1.0, wall_seconds=2.0)
ARRAYS = {"parameters/w": np.arange(6, dtype="float32").reshape(2, 3), "optimizer/m": np.zeros(0)}


def test_checkpoints_round_trip_and_equal_ones_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / f"{name}.npz", ARRAYS, PROGRESS)
    arrays, progress = load_checkpoint(tmp_path / "a.npz")
    assert progress == PROGRESS
    assert all((arrays[key] == ARRAYS[key]).all() and arrays[key].dtype == ARRAYS[key].dtype for key in ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_damaged_checkpoints_are_rejected(tmp_path):
    path = tmp_path / "last.npz"
    save_checkpoint(path, ARRAYS, PROGRESS)
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(1000):
        damaged = bytearray(intact)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            arrays, progress = load_checkpoint(path)
        except RecordError:
            continue
        # A flipped bit in a field without effect, such as a date, leaves the content intact.
        assert progress == PROGRESS
        assert all((arrays[key] == ARRAYS[key]).all() for key in ARRAYS)
    for cut in range(len(intact)):
        path.write_bytes(intact[:cut])
        with pytest.raises(RecordError, match="not a usable checkpoint"):
            load_checkpoint(path)


def bomb_of_zeros(path):
    """10 kB that decompress to 10 MB."""
    np.savez_compressed(path, meta=np.zeros(10**7, np.uint8), checksum=np.zeros(32, np.uint8))


def bomb_of_a_header(path):
    """An array whose header declares a thousand million numbers."""
    file = io.BytesIO()
    np.save(file, np.zeros(100, np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.npy", file.getvalue().replace(b"(100,), }" + b" " * 7, b"(1000000000,), }"))


@pytest.mark.parametrize("write", [bomb_of_zeros, bomb_of_a_header])
def test_declared_sizes_that_exceed_the_file_are_rejected_before_memory_is_allocated(tmp_path, write):
    path = tmp_path / "last.npz"
    write(path)
    tracemalloc.start()
    with pytest.raises(RecordError, match="not a usable checkpoint"):
        load_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_wrong_checksum_and_a_pickle_are_rejected(tmp_path):
    path = tmp_path / "last.npz"
    meta = np.frombuffer(json.dumps({"step": 1}).encode(), np.uint8)
    np.savez(path, meta=meta, checksum=np.zeros(32, np.uint8))
    with pytest.raises(RecordError, match="checksum is wrong"):
        load_checkpoint(path)
    np.savez(path, meta=np.array([{"step": 1}], dtype=object), checksum=np.zeros(32, np.uint8))
    with pytest.raises(RecordError, match="no npz file of plain arrays"):
        load_checkpoint(path)
