"""The speed comparison: every library trains the same network, and different losses end the comparison."""

import importlib

import numpy as np
import pytest
from cases import NAMES, case
from libraries.minitrain import Compiled
from report import BEGIN, END, Group, Measurement, table, write
from steps import COMPARED_STEPS, TOLERANCE, Participant, Variant, compare


@pytest.fixture
def pytorch():
    pytest.importorskip("torch")
    return importlib.import_module("libraries.pytorch")


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_each_case_equal_those_of_pytorch(pytorch, name):
    one_run = case(name)
    ours, theirs = (cls(one_run).losses(COMPARED_STEPS) for cls in (Compiled, pytorch.Eager))
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE)
    assert theirs[0, -1] < theirs[0, 0]  # training reduces the loss


@pytest.mark.parametrize("name", ["A", "B", "digits-Adam"])
def test_batched_runs_equal_runs_one_after_another(pytorch, name):
    several_runs = case(name, runs=3)
    batched, sequential = (cls(several_runs).losses(COMPARED_STEPS) for cls in (pytorch.Stacked, pytorch.Eager))
    np.testing.assert_allclose(batched, sequential, rtol=TOLERANCE)
    np.testing.assert_allclose(Compiled(several_runs).losses(COMPARED_STEPS), sequential, rtol=TOLERANCE)
    np.testing.assert_allclose(
        pytorch.Eager(several_runs.part(1, 3)).losses(COMPARED_STEPS), sequential[1:], rtol=TOLERANCE
    )


class FakeParticipant:
    def __init__(self, name, losses):
        self.name, self.fixed_losses = name, losses

    def losses(self, steps):
        return self.fixed_losses


def test_different_losses_end_the_comparison():
    expected = np.ones((2, 20))
    compare(
        "A",
        [
            FakeParticipant("one", expected),
            FakeParticipant("other", expected + TOLERANCE / 2),
            FakeParticipant("apart", None),
        ],
    )
    for wrong in (1.001, np.nan):
        other = expected.copy()
        other[1, 7] = wrong
        with pytest.raises(SystemExit, match=r"case A: the loss of run 1 at step 7 is .* in other and 1 in one"):
            compare("A", [FakeParticipant("one", expected), FakeParticipant("other", other)])


def test_participant_without_its_library_is_skipped():
    installed, missing = Variant("minitrain", "minitrain", "Compiled"), Variant("missing", "missing", "Eager")
    participant = Participant(installed, "A", 1)
    np.testing.assert_array_equal(participant.losses(3), Compiled(case("A")).losses(3))
    participant.close()
    participant = Participant(missing, "A", 1)
    assert participant.about == {"skipped": "No module named 'libraries.missing'"}
    participant.close()


def test_tables_are_written_between_the_markers(tmp_path):
    group = Group("One run", 1, ("A",), [Variant(name, "", "") for name in ("minitrain", "PyTorch eager", "JAX")])
    measurement = Measurement(
        "A", "MLP 2-1, SGD", {"minitrain": [1e-6, 2e-6, 3e-6], "PyTorch eager": [4e-6, 4e-6, 4e-6]}, []
    )
    assert table(group, [measurement], "PyTorch eager").splitlines() == [
        "| One run | minitrain | PyTorch eager |",
        "|---|---|---|",
        "| A | 2 (1.5 to 2.5), **2×** | 4 (4 to 4) |",
    ]
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}old{END}\nafter\n")
    write(readme, [(group, [measurement])], "PyTorch eager", rounds=3)
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
