"""The speed comparison compares the same: every library trains the same network, and a difference would stop it."""

import importlib

import numpy as np
import pytest
from cases import NAMES, case
from libraries.minitrain import Replayed
from report import BEGIN, END, Group, Measured, table, write
from steps import COMPARED, TOLERANCE, Contestant, Variant, compare


@pytest.fixture
def pytorch():
    pytest.importorskip("torch")
    return importlib.import_module("libraries.pytorch")


@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_the_same_in_pytorch(pytorch, name):
    same = case(name)
    ours, theirs = (cls(same).losses(COMPARED) for cls in (Replayed, pytorch.Eager))
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE)
    assert theirs[0, -1] < theirs[0, 0]  # it is a training


@pytest.mark.parametrize("name", ["A", "B", "digits-Adam"])
def test_runs_stacked_by_hand_are_runs_one_after_another(pytorch, name):
    several = case(name, runs=3)
    stacked, after = (cls(several).losses(COMPARED) for cls in (pytorch.Stacked, pytorch.Eager))
    np.testing.assert_allclose(stacked, after, rtol=TOLERANCE)
    np.testing.assert_allclose(Replayed(several).losses(COMPARED), after, rtol=TOLERANCE)
    np.testing.assert_allclose(pytorch.Eager(several.part(1, 3)).losses(COMPARED), after[1:], rtol=TOLERANCE)


class Fake:
    def __init__(self, name, losses):
        self.name, self.found = name, losses

    def losses(self, steps):
        return self.found


def test_other_losses_stop_the_command():
    right = np.ones((2, 20))
    compare("A", [Fake("one", right), Fake("other", right + TOLERANCE / 2), Fake("apart", None)])
    for wrong in (1.001, np.nan):
        other = right.copy()
        other[1, 7] = wrong
        with pytest.raises(SystemExit, match=r"case A: the loss of run 1 at step 7 is .* in other and 1 in one"):
            compare("A", [Fake("one", right), Fake("other", other)])


def test_a_worker_answers_or_says_why_not():
    ours, absent = Variant("minitrain", "minitrain", "Replayed"), Variant("absent", "absent", "Eager")
    contestant = Contestant(ours, "A", 1)
    np.testing.assert_array_equal(contestant.losses(3), Replayed(case("A")).losses(3))
    contestant.close()
    contestant = Contestant(absent, "A", 1)
    assert contestant.about == {"skipped": "No module named 'libraries.absent'"}
    contestant.close()


def test_the_report_is_written_between_its_markers(tmp_path):
    group = Group("One run", 1, ("A",), [Variant(name, "", "") for name in ("minitrain", "PyTorch eager", "JAX")])
    measured = Measured("A", "MLP 2-1, SGD", {"minitrain": [1e-6, 2e-6, 3e-6], "PyTorch eager": [4e-6, 4e-6, 4e-6]}, [])
    assert table(group, [measured], "PyTorch eager").splitlines() == [
        "| One run | minitrain | PyTorch eager |",
        "|---|---|---|",
        "| A | 2 (1.5 to 2.5), **2×** | 4 (4 to 4) |",
    ]
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}old{END}\nafter\n")
    write(readme, [(group, [measured])], "PyTorch eager", rounds=3)
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
