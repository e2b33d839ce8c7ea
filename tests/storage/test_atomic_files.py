"""Files are written atomically, and special files in run directories are rejected."""

import errno

import pytest

from minitrain.errors import RecordError
from minitrain.storage.files import read_text, reject_special_files, write_atomically, write_folder


def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(OSError, match=r"disk full.*file"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_symbolic_links_in_a_run_directory_are_rejected(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(run)
    reject_special_files(tmp_path / "link")
    (run / "checkpoints" / "last.npz").symlink_to(tmp_path / "other")
    with pytest.raises(
        RecordError, match=r"last.npz: is a symbolic link, which may point outside the run directory; replace"
    ):
        reject_special_files(tmp_path / "link")


def test_an_existing_directory_is_not_overwritten(tmp_path):
    write_folder(tmp_path / "new", {"a.txt": "a"})
    assert (tmp_path / "new" / "a.txt").read_text() == "a"
    with pytest.raises(FileExistsError, match="new already exists"):
        write_folder(tmp_path / "new", {"a.txt": "b"})
    assert (tmp_path / "new" / "a.txt").read_text() == "a"
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def test_files_that_are_too_large_are_not_read(tmp_path):
    (tmp_path / "file").write_text("x" * 1001)
    with pytest.raises(ValueError, match="1,001 bytes, expected at most 1,000"):
        read_text(tmp_path / "file", 1000)
