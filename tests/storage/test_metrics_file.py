"""metrics.csv: rows are flushed, truncated to a checkpoint, and validated when they are read."""

import numpy as np
import pytest

from minitrain.errors import RecordError
from minitrain.storage.metrics_file import MetricsWriter, read_metrics

COLUMNS = ["step", "lr", "train_loss", "val_loss"]


def test_rows_are_truncated_to_a_step_byte_for_byte(tmp_path):
    path = tmp_path / "metrics.csv"
    writer = MetricsWriter(path, COLUMNS, from_step=0)
    for step in range(0, 50, 10):
        writer.write({"step": step, "lr": 0.1, "train_loss": np.float32(1 / 3), "val_loss": 1e-17})
    writer.close()
    content = path.read_bytes()
    assert content.splitlines()[1] == b"0,0.1,0.33333334,1e-17"
    path.write_bytes(content + b"50,0.1,0.3")  # a row that was cut off by a kill
    MetricsWriter(path, COLUMNS, from_step=30).close()
    assert path.read_bytes() == b"".join(content.splitlines(keepends=True)[:4])


def test_empty_cells_are_read_as_nan_and_a_truncated_row_is_ignored(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,lr,train_loss\n0,0.3,\n10,0.3,inf\n20,0.")
    table = read_metrics(tmp_path)
    assert table["step"].tolist() == [0, 10]
    assert np.isnan(table["train_loss"][0])
    assert np.isinf(table["train_loss"][1])


@pytest.mark.parametrize("content", [None, "", "step,lr\n1,2,3\n", "step\nabc\n"])
def test_invalid_tables_are_rejected(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(RecordError, match="not a valid table of metrics"):
        read_metrics(tmp_path)


def test_rows_are_on_disk_after_a_flush(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.csv", COLUMNS, from_step=0)
    writer.write({"step": 0})
    assert len(read_metrics(tmp_path)["step"]) == 0
    writer.flush()
    assert len(read_metrics(tmp_path)["step"]) == 1
    writer.close()
