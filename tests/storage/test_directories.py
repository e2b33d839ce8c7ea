"""Directories of runs are claimed by one process each, and have safe names."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from minitrain.storage.directories import claim_directory


def test_50_simultaneous_claims_create_50_directories(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5)
    with ThreadPoolExecutor(50) as pool:
        claimed = set(pool.map(lambda _: claim_directory(tmp_path, "lr=0.3", moment), range(50)))
    assert len(claimed) == 50
    assert all(directory.is_dir() and directory.name.endswith("-lr-0.3") for directory in claimed)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("lr=1e-3,activation=relu", "lr-1e-3_activation-relu"),
        ("network.widths=[8,16]", "network.widths-_8_16_"),
        ('data.path="größe (1).csv"', "data.path-gr__e__1_.csv"),
        ("data.path=~/a/b", "data.path-_ab"),
        ("+lr=${a}", "+lr-__a_"),
    ],
)
def test_path_of_a_run_is_a_value_that_needs_no_quotes(tmp_path, label, name):
    path = claim_directory(tmp_path, label, datetime(2026, 1, 2, 3, 4, 5)) / "checkpoints" / "last.npz"
    assert path.parent.parent.name == f"03-04-05-000000-{name}"
    relative = path.relative_to(tmp_path)
    assert OverridesParser.create().parse_override(f"network.init_file={relative}").value() == str(relative)


def test_names_are_short_and_safe(tmp_path):
    directory = claim_directory(tmp_path, "data=../../x y,ö=" + "a" * 300)
    assert directory.parent.parent == tmp_path
    assert len(directory.name.encode()) <= 150
    assert " " not in directory.name
