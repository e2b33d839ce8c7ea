"""Which examples are for training, validation and testing: stratified shares, folds, given splits, and errors."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from minitrain.data import CSV, NPY, NPZ, Diabetes, Digits, Iris, ModularAddition, Sine, SplitOptions
from minitrain.data.dataset import DATASETS
from minitrain.data.partition import draw_fold, hold_out
from minitrain.errors import ConfigError
from minitrain.options import options
from minitrain.rng import generator

SPLIT_DATASETS = {  # those that need no file and no arrays
    name: cls
    for name, cls in DATASETS.items()
    if name not in ("point", "arrays") and not any(option.range.is_path for option in options(cls).values())
}


def count(partition, y):
    """The number of examples of each class in each part: [classes] each."""
    return [np.bincount(y[part], minlength=y.max() + 1).tolist() for part in partition]


def classes_of(sizes, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


# Stratified shares


@pytest.mark.parametrize(
    ("sizes", "validation", "expected"),
    [
        ((80, 20), 0.2, [16, 4]),
        ((50, 30, 20), 0.25, [13, 7, 5]),  # shares 12.5, 7.5, 5: a tie, which the order of the examples decides
        ((90, 9, 1), 0.2, [18, 2, 0]),  # the only example of a class is for training: 20 of 99
        ((900, 100, *[1] * 1000), 0.2, [360, 40, *[0] * 1000]),
        ((2, 2, 96), 0.5, [1, 1, 48]),
        ((2, 98), 0.9, [1, 89]),  # one of two is for training: not 1.8
        ((5, 5), 0.0, [0, 0]),
    ],
)
def test_each_class_has_its_share_by_the_largest_remainder(sizes, validation, expected):
    y = classes_of(sizes)
    held_out = {tuple(count(SplitOptions(validation=validation, seed=s).draw_partition(y), y)[1]) for s in range(20)}
    if sizes == (50, 30, 20):
        assert held_out == {(13, 7, 5), (12, 8, 5)}
    else:
        assert held_out == {tuple(expected)}


def test_counts_of_shares_are_those_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection", reason="the reference is scikit-learn")
    rng, compared = np.random.default_rng(0), 0
    for seed in range(200):
        sizes = rng.integers(2, 60, size=rng.integers(2, 8))
        y, examples = classes_of(sizes, seed), int(sizes.sum())
        held_out = int(rng.integers(len(sizes), examples - len(sizes)))
        remainders = sizes * held_out % examples
        if len({*remainders.tolist()}) < len(sizes):
            continue  # a tie, which scikit-learn decides at random
        train, _ = selection.train_test_split(np.arange(examples), test_size=held_out, stratify=y, random_state=0)
        theirs = np.bincount(y[train], minlength=len(sizes))
        if theirs.min() == 0:
            continue  # here each class keeps a training example
        _, others = hold_out(rng.permutation(examples), held_out, y)
        assert np.bincount(y[others], minlength=len(sizes)).tolist() == theirs.tolist()
        compared += 1
    assert compared > 100


def test_every_class_keeps_a_training_example():
    rng = np.random.default_rng(1)
    for seed in range(100):
        sizes = rng.integers(1, 12, size=rng.integers(1, 10))
        y = classes_of(sizes, seed)
        held_out = int(rng.integers(0, len(y) - len(sizes) + 1))
        if held_out > (sizes - 1).sum():
            continue
        chosen, others = hold_out(rng.permutation(len(y)), held_out, y)
        assert len(chosen) == held_out
        assert sorted([*chosen, *others]) == list(range(len(y)))
        assert np.bincount(y[others], minlength=len(sizes)).min() >= 1


def test_examples_keep_their_random_order():
    order, y = np.random.default_rng(0).permutation(30), classes_of([20, 10])
    place = np.argsort(order)
    for part in (*hold_out(order, 9, y), *draw_fold(order, 1, 4, y), *hold_out(order, 9), *draw_fold(order, 1, 4)):
        assert (np.diff(place[part]) > 0).all()


def test_ties_of_remainders_are_decided_at_random():
    y = np.repeat(np.arange(10), 3)
    held_out = np.sum([count(SplitOptions(seed=seed).draw_partition(y), y)[1] for seed in range(100)], axis=0)
    assert held_out.min() > 40  # of 60 on average


@pytest.mark.parametrize("cls", SPLIT_DATASETS.values())
def test_without_stratification_the_first_of_a_permutation_are_held_out(cls):
    """The split of version 0.1.0, which its runs keep."""
    data, whole = (cls(stratify=False, standardize=False, validation=v).load() for v in (0.3, 0.0))
    examples = len(whole.x_train)
    held_out = round(0.3 * examples)
    np.testing.assert_array_equal(data.x_val, whole.x_train[:held_out])
    np.testing.assert_array_equal(data.x_train, whole.x_train[held_out:])
    order = generator(0, "split").permutation(examples)
    partition = SplitOptions(stratify=False, validation=0.3).draw_partition(np.arange(examples) % 2)
    assert (partition.train.tolist(), partition.val.tolist()) == (order[held_out:].tolist(), order[:held_out].tolist())


def test_regression_does_not_depend_on_stratify():
    for data in (Diabetes(), Sine(samples=50)):
        assert data.load().fingerprint == replace(data, stratify=False).load().fingerprint


def test_classes_of_files_are_stratified(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = classes_of([70, 20, 10])
    x = np.random.default_rng(0).normal(size=(100, 2))
    np.savez("d.npz", x=x, y=y)
    np.save("x.npy", x)
    np.save("y.npy", y)
    rows = [f"{a},{b},{'abc'[c]}" for (a, b), c in zip(x, y, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["u,v,w", *rows]) + "\n")
    for data in (NPZ(path="d.npz", test=0.1), NPY(x="x.npy", y="y.npy", test=0.1), CSV(path="d.csv", test=0.1)):
        loaded = data.load()
        parts = (loaded.y_train, loaded.y_val, loaded.y_test)
        assert [np.bincount(part).tolist() for part in parts] == [[49, 14, 7], [14, 4, 2], [7, 2, 1]]


# The test share


@pytest.mark.parametrize("cls", SPLIT_DATASETS.values())
@pytest.mark.parametrize("options", [{}, {"stratify": False}, {"folds": 3, "fold": 2}])
def test_test_examples_are_the_same_for_any_split_of_the_others(cls, options):
    data = cls(test=0.1, standardize=False, **options).load()
    whole = cls(standardize=False, validation=0.0).load()
    assert len(data.x_test) == round(0.1 * len(whole.x_train))
    parts = [np.column_stack([x, y]) for x, y in
             ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test))]  # fmt: skip
    if data.preprocessing.classes is not None:  # numbers are scaled by the training examples
        together, expected = np.concatenate(parts), np.column_stack([whole.x_train, whole.y_train])
        assert (together[np.lexsort(together.T)] == expected[np.lexsort(expected.T)]).all()
    other = cls(test=0.1, standardize=False, **({"validation": 0.3} if "folds" not in options else options)).load()
    if options != {"stratify": False}:
        np.testing.assert_array_equal(other.x_test, data.x_test)
    assert f"{len(data.x_test):,} test examples" in data.describe()


def test_test_examples_do_not_change_the_scale():
    """Scaling is fitted on the training examples: other values of the test examples change nothing else."""
    x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    options = SplitOptions(test=0.2)
    first = options.split(x.copy(), y)
    test = options.draw_partition(y).test
    x[test] *= 100
    second = options.split(x, y)
    assert (first.x_train == second.x_train).all()
    assert (first.x_val == second.x_val).all()
    assert abs(second.x_test).max() > 10
    assert first.fingerprint != second.fingerprint


def test_fingerprint_without_test_examples_is_that_of_earlier_runs():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])
    data = SplitOptions(stratify=False, validation=0.5, standardize=False).split(x, y)
    assert data.fingerprint.sha256 == "3ea47835431b96f4fcef2b265990bb5fe06d85532ffe8f8c85944451d39deb6a"


def test_test_share_of_arrays_with_validation_examples_is_drawn_from_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = np.arange(40.0)[:, None], np.arange(40) % 2
    np.savez("d.npz", x=x, y=y, x_val=x[:10] + 100, y_val=y[:10])
    options = NPZ(path="d.npz", x_val="x_val", y_val="y_val", standardize=False)
    given, data = options.load(), replace(options, test=0.25).load()
    assert (given.x_train == x).all()  # in the order of the file
    assert (data.x_val == x[:10] + 100).all()
    assert np.bincount(data.y_test).tolist() == [5, 5]
    assert sorted([*data.x_train[:, 0], *data.x_test[:, 0]]) == x[:, 0].tolist()
    with pytest.raises(ConfigError, match=r"data\.folds=2: the data have validation examples of their own"):
        replace(options, folds=2, fold=0).load()


def test_test_rows_of_a_mapped_file_are_read_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    np.save("x.npy", x)
    np.save("y.npy", y)
    np.savez("d.npz", x=x, y=y)
    mapped, loaded = NPY(x="x.npy", y="y.npy", test=0.2).load(), NPZ(path="d.npz", test=0.2).load()
    order = np.argsort(loaded.x_test[:, 0])
    rows = mapped.x_test[:]
    np.testing.assert_allclose(rows[np.argsort(rows[:, 0])], loaded.x_test[order], rtol=1e-12)


# Folds


def test_counts_of_folds_are_those_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection", reason="the reference is scikit-learn")
    rng = np.random.default_rng(0)
    for seed in range(50):
        sizes = rng.integers(3, 40, size=rng.integers(1, 6))
        y, folds = np.sort(classes_of(sizes, seed)), int(rng.integers(2, 4))
        theirs = [np.bincount(y[val], minlength=len(sizes)).tolist()
                  for _, val in selection.StratifiedKFold(folds).split(y, y)]  # fmt: skip
        order = rng.permutation(len(y))
        ours = [np.bincount(y[draw_fold(order, f, folds, y)[0]], minlength=len(sizes)).tolist() for f in range(folds)]
        assert ours == theirs


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("test", [0.0, 0.1])
def test_folds_are_a_partition_of_the_examples_that_are_not_for_testing(stratify, test):
    y = classes_of([41, 13, 7])
    options = [SplitOptions(folds=4, fold=f, stratify=stratify, test=test, seed=5) for f in range(4)]
    partitions = [o.draw_partition(y) for o in options]
    held_back = partitions[0].test.tolist()
    assert len(held_back) == round(test * len(y))
    assert all(partition.test.tolist() == held_back for partition in partitions)
    validation = [partition.val.tolist() for partition in partitions]
    assert sorted([*itertools.chain(*validation), *held_back]) == list(range(len(y)))
    for partition in partitions:
        assert sorted(itertools.chain(*map(np.ndarray.tolist, partition))) == list(range(len(y)))
    sizes = [len(part) for part in validation]
    assert max(sizes) - min(sizes) <= 1
    if stratify:
        counts = np.array([count(partition, y)[1] for partition in partitions])
        assert (np.ptp(counts, axis=0) <= 1).all()


def test_as_many_folds_as_examples_leave_one_out():
    y = np.arange(6) % 2
    held_out = [SplitOptions(folds=6, fold=f).draw_partition(y).val.tolist() for f in range(6)]
    assert sorted(held_out) == [[i] for i in range(6)]


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "data.folds=5: requires the fold of the run; set data.fold=0, or train all folds: -m"),
        ({"fold": 0}, "data.fold=0: requires the number of folds; set data.folds=5"),
        ({"folds": 5, "fold": 5}, "data.fold=5: expected at most 4, for data.folds=5; the first is 0"),
        ({"folds": 5, "fold": 0, "validation": 0.3}, "data.validation=0.3: with data.folds=5, the fold is used"),
        ({"folds": 151, "fold": 0}, "data.folds=151: expected at most 150, the number of examples"),
        ({"folds": 121, "fold": 0, "test": 0.2}, "data.folds=121: expected at most 120, the number of examples"),
        (
            {"validation": 0.5, "test": 0.5},
            "data.validation=0.5, data.test=0.5: leave no training examples; expected a sum below 1",
        ),
        (
            {"validation": 0.8, "test": 0.9},
            "data.validation=0.8, data.test=0.9: leave no training examples; expected a sum below 1",
        ),
        ({"test": 0.001}, "data.test=0.001: less than one of 150 examples; expected a larger fraction"),
        ({"validation": 0.99}, "data.validation=0.99: leaves 2 training examples for 3 classes; expected a smaller "),
        ({"validation": 0.5, "test": 0.49}, "data.validation=0.5, data.test=0.49: leaves 1 training example for 3"),
    ],
)
def test_impossible_splits_are_one_line(options, message):
    with pytest.raises(ConfigError) as error:
        Iris(**options).load()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_options_out_of_range_are_one_line_on_the_command_line(command, tmp_path):
    for text, expected in {
        "data.folds=1": "data.folds=1: expected an integer at least 2, or null",
        "data.fold=-1": "data.fold=-1: expected an integer at least 0, or null",
        "data.test=1": "data.test=1: expected a number at least 0 and below 1",
    }.items():
        assert command(text)[::2] == (2, f"minitrain: {expected}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_class_per_example_cannot_be_stratified():
    with pytest.raises(ConfigError, match="leaves 8 training examples for 10 classes"):
        SplitOptions().draw_partition(np.arange(10))
    assert len(SplitOptions(stratify=False).draw_partition(np.arange(10)).val) == 2


def test_the_default_split_of_the_bundled_data_is_stratified():
    for data in (Digits(), Iris(), ModularAddition()):
        loaded = data.load()
        val, train = np.bincount(loaded.y_val), np.bincount(loaded.y_train)
        share = len(loaded.y_val) / (len(loaded.y_val) + len(loaded.y_train))
        assert (abs(val - share * (val + train)) < 1).all()
