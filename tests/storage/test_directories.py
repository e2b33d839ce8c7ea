"""Directories of runs are claimed by one process each, and have safe names."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from minitrain.storage.directories import claim_directory


def test_50_simultaneous_claims_create_50_directories(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5)
    with ThreadPoolExecutor(50) as pool:
        claimed = set(pool.map(lambda _: claim_directory(tmp_path, "lr=0.3", moment), range(50)))
    assert len(claimed) == 50
    assert all(directory.is_dir() and directory.name.endswith("-lr=0.3") for directory in claimed)


def test_names_are_short_and_safe(tmp_path):
    directory = claim_directory(tmp_path, "data=../../x y,ö=" + "a" * 300)
    assert directory.parent.parent == tmp_path
    assert len(directory.name.encode()) <= 150
    assert " " not in directory.name
