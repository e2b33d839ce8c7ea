"""Datasets from the user's files: what is read, and that each error is one line that names its location."""

import io
import os
import socket
import tokenize
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitrain.components.networks import MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import CSV, NPY, NPZ, Preprocessing, RowsOnDisk, rows
from minitrain.data.inputs import read_inputs
from minitrain.data.reading import reporting_errors
from minitrain.errors import ConfigError
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.rng import generator
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train

PLAIN = {"validation": 0.0, "standardize": False, "standardize_target": False}
PEOPLE = "age,town,height,sport\n30,Ulm,1.8,judo\n41,Bonn,1.7,chess\n,Ulm,1.6,chess\n"


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_text_file(text, name="people.csv", encoding="utf-8"):
    Path(name).write_text(text, encoding=encoding)
    return name


def table(text, **options):
    """Inputs, targets and number of classes of a csv file, in the order of its rows."""
    data = CSV(path=write_text_file(text), **PLAIN, **options).load()
    order = np.argsort(generator(0, "split").permutation(len(data.x_train)))
    return data.x_train[order], data.y_train[order], data.preprocessing.classes


# csv


@pytest.mark.parametrize("kind", ["a pipe", "a directory", "a device", "a socket"])
@pytest.mark.parametrize("options", ["data=csv data.path=", "data=npz data.path=", "network.init_file="])
def test_path_that_is_no_regular_file_is_named_for_what_it_is(command, kind, options):
    path = {"a pipe": "pipe", "a directory": "folder", "a device": "/dev/null", "a socket": "socket"}[kind]
    os.mkfifo("pipe")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        status, _, err = command(*f"{options}{path}".split())
    assert status == 2
    assert f"={path}: {kind}, not a regular file; expected the path of" in err


def test_last_column_is_the_target_by_default():
    x, y, classes = table("a,b,y\n1,2,0.5\n3,4e1,-2\n")
    assert x.tolist() == [[1, 2], [3, 40]]
    assert y.tolist() == [[0.5], [-2]]
    assert classes is None


def test_target_by_name_with_classes_in_sorted_order():
    x, y, classes = table("sort,width\nrose,1\niris,2\nrose,3\naster,4\n", target="sort")
    assert x.tolist() == [[1], [2], [3], [4]]
    assert (y.tolist(), y.dtype, classes) == ([2, 1, 2, 0], np.int64, 3)


def test_columns_without_a_header_are_named_by_number():
    x, y, classes = table("1,7,2\n2,8,4\n3,9,6\n", header=False, target="1")
    assert x.tolist() == [[7, 2], [8, 4], [9, 6]]
    assert (y.tolist(), classes) == ([0, 1, 2], 3)


def test_categories_are_encoded_one_hot():
    x, y, _ = table("town,age,y\nUlm,30,a\nBonn,40,b\nUlm,50,b\n", categories=["town"])
    assert x.tolist() == [[0, 1, 30], [1, 0, 40], [0, 1, 50]]
    assert y.tolist() == [0, 1, 1]


def test_numbers_can_be_categories():
    x, y, classes = table("town,y\n3,10\n7,20\n3,30\n", categories=["town", "y"])
    assert x.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert (y.tolist(), classes) == ([0, 1, 2], 3)


@pytest.mark.parametrize(
    ("targets", "task", "expected", "classes"),
    [
        (["0", "1", "1"], "auto", [0, 1, 1], 2),
        (["1", "2", "3"], "auto", [0, 1, 2], 3),
        (["1.0", "0", "2"], "auto", [1, 0, 2], 3),
        (["0", "2", "3"], "auto", [[0], [2], [3]], None),
        (["0", "1", "0.5"], "auto", [[0], [1], [0.5]], None),
        (["0", "1", "1"], "regression", [[0], [1], [1]], None),
        (["-1", "10", "9"], "classification", [0, 2, 1], 3),
        (["x", "10", "9"], "classification", [2, 0, 1], 3),
        (["inf", "-inf", "inf"], "auto", [1, 0, 1], 2),
    ],
)
def test_type_of_the_target_is_detected(targets, task, expected, classes):
    text = "x,y\n" + "".join(f"1,{target}\n" for target in targets)
    _, y, number_of_classes = table(text, task=task)
    assert (y.tolist(), number_of_classes) == (expected, classes)


def test_quotes_spaces_blank_lines_byte_order_mark_and_delimiters_are_accepted():
    expected = ([[1, 2], [3, 4]], [0, 1], 2)
    for text, delimiter in (
        ('"a",b,y\r\n1 , 2,"u, v"\r\n\r\n3,4,w\r\n\r\n', ","),
        ("a;b;y\n1;2;u\n3;4;w\n", ";"),
        ("a\tb\ty\n1\t2\tu\n3\t4\tw\n", "\t"),
        ("a\tb\ty\n1\t2\tu\n3\t4\tw\n", "\\t"),
        ("\ufeffa,b,y\n1,2,u\n3,4,w", ","),
        ("   \na,b,y\n1,2,u\n \n3,4,w\n  \n", ","),
        ("a b y\n1 2 u\n  \n3 4 w\n", " "),
    ):
        x, y, classes = table(text, delimiter=delimiter)
        assert (x.tolist(), y.tolist(), classes) == expected
    assert table("\ufeffa,y\n1,u\n2,v\n", target="a", categories=["y"])[1].tolist() == [0, 1]


CSV_ERRORS = [
    (None, {}, "data.path=null: expected the path of a csv file; set data.path=FILE"),
    (
        None,
        {"path": "nowhere.csv"},
        "data.path=nowhere.csv: no such file; expected a path relative to the current directory",
    ),
    (None, {"path": "."}, "data.path=.: a directory, not a regular file"),
    ("", {}, "people.csv: the file is empty"),
    ("\n\n", {}, "people.csv: the file is empty"),
    ("a,b\n", {}, "people.csv: has a header but no other rows; if the first row is an example, set data.header=false"),
    ("a,b\n1,2\n", {"target": "c"}, "data.target=c: people.csv has no such column; columns: a, b"),
    ("1,2\n1,2\n", {"target": "a", "header": False}, "data.target=a: people.csv has no such column; columns: 1, 2"),
    ("a,b\n1,2\n", {"categories": ["c"]}, "data.categories=c: people.csv has no such column; columns: a, b"),
    ("a,a,b\n1,2,3\n", {}, "people.csv row 1: 2 columns are named 'a'; rename them"),
    ("a\n1\n2\n", {}, "people.csv: a is the only column"),
    (
        "a,b\n1,2\nabc,3\n",
        {},
        "people.csv row 3, column a: 'abc' is not a number; correct it, or list the column in data.categories",
    ),
    ("a,b\n1,2\n1_000,3\n", {}, "people.csv row 3, column a: '1_000' is not a number"),
    ('a,b\n1,2\n""\n', {}, "people.csv row 3: 1 cell; expected 2"),
    ("a,b\n1,2\n,\n", {"missing": "error"}, "people.csv row 3, column a: an empty cell is a missing value; correct it"),
    (
        PEOPLE,
        {"categories": ["town"], "missing": "error"},
        "people.csv row 4, column age: an empty cell is a missing value; correct it, or set data.missing=mean",
    ),
    ("a,b\n1,2\n\nnan,3\n", {"missing": "error"}, "people.csv row 4, column a: 'nan' is a missing value"),
    ("a,b\n1,2\n-inf,3\n", {}, "people.csv row 3, column a: '-inf' is not a number"),
    ("1,2\nx,3\n", {"header": False}, "people.csv row 2, column 1: 'x' is not a number"),
    ("a,b\n1,2\n3\n", {}, "people.csv row 3: 1 cell; expected 2, as in row 1"),
    ("a,b\n1,2,3\n", {}, "people.csv row 2: 3 cells; expected 2"),
    ("a,b\n1,u\n2,\n", {"missing": "error"}, "people.csv row 3, column b: an empty cell is a missing value"),
    ("a,b\n1,5\n2,5x\n", {}, "people.csv row 3, column b: '5x' is not a number; correct it, or set data.task=class"),
    ("a,b\n1,u\n2,v\n", {"task": "regression"}, "people.csv row 2, column b: 'u' is not a number"),
    ("a,b\n1,u\n2,u\n", {}, "people.csv column b: every example has class u; expected at least two classes"),
    ("a,b\n1,0\n2,0\n", {}, "people.csv column b: every example has class 0"),
    ("a,b\n1,2\n", {"delimiter": ";;"}, "data.delimiter=;;: expected one ASCII character"),
    ("a,b\n1,2\n", {"delimiter": ""}, "data.delimiter=: expected one ASCII character"),
    ("a,b\n1,2\n", {"delimiter": '"'}, 'data.delimiter=": expected one ASCII character'),
]


@pytest.mark.parametrize(("text", "options", "message"), CSV_ERRORS)
def test_error_in_a_csv_file_is_one_line(text, options, message):
    if text is not None:
        options = {"path": write_text_file(text), **options}
    with pytest.raises(ConfigError) as error:
        CSV(**options).load()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_csv_in_another_encoding_is_rejected():
    with pytest.raises(ConfigError, match=r"people.csv row 2, column b: '\ufffd' is not UTF-8; save the file as UTF-8"):
        CSV(path=write_text_file("a,b\n1,ü\n2,v\n", encoding="latin-1")).load()


# NumPy's files

X = np.random.default_rng(0).normal(size=(60, 4)) * [1, 10, 0.1, 3] + [0, 5, 0, -7]
CLASSES = np.arange(60) % 3
NUMBERS = X @ np.array([[1.0, 0], [0, 1], [1, 1], [2, 0]])


def npz(**arrays):
    np.savez("data.npz", **arrays)
    return "data.npz"


def npy(x, y):
    np.save("x.npy", x)
    np.save("y.npy", y)
    return {"x": "x.npy", "y": "y.npy"}


@pytest.mark.parametrize(
    ("y", "expected", "classes"),
    [
        (CLASSES, CLASSES, 3),
        (CLASSES.astype(np.uint8)[:, None], CLASSES, 3),
        (CLASSES == 1, (CLASSES == 1).astype(int), 2),
        (np.array(["b", "a", "c"])[CLASSES], np.array([1, 0, 2])[CLASSES], 3),
        (NUMBERS, NUMBERS, None),
        (NUMBERS[:, 0].astype(np.float32), NUMBERS[:, :1].astype(np.float32), None),
        (CLASSES * 10, CLASSES[:, None] * 10, None),
    ],
)
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays_are_loaded_unchanged(kind, y, expected, classes):
    data = (NPZ(path=npz(x=X, y=y), **PLAIN) if kind == "npz" else NPY(**npy(X, y), **PLAIN)).load()
    order = generator(0, "split").permutation(60)
    examples = order if kind == "npz" else np.arange(60)
    assert (data.x_train[:] == X[examples]).all()
    assert (data.y_train == expected[examples]).all()
    assert data.preprocessing.classes == classes


def test_arrays_with_other_names_and_shapes():
    images = np.arange(60 * 6, dtype=np.uint8).reshape(60, 2, 3)
    data = NPZ(path=npz(images=images, labels=CLASSES), x="images", y="labels", **PLAIN).load()
    assert (data.x_train.shape, data.x_train.dtype) == ((60, 6), np.float64)
    assert np.sort(data.x_train[:, 0]).tolist() == np.sort(images[:, 0, 0]).tolist()
    single = NPZ(path=npz(x=X[:, 0], y=CLASSES), **PLAIN).load()
    assert single.preprocessing.inputs == 1


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(60, 4), (60, 2, 2)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_memory_mapped_array_equals_the_array_in_memory(order, shape, dtype, monkeypatch):
    x = np.asarray(X.reshape(shape).astype(dtype), order=order)
    mapped, in_memory = NPY(**npy(x, NUMBERS)).load(), NPZ(path=npz(x=x, y=NUMBERS)).load()
    monkeypatch.setattr(rows, "BLOCK_SIZE", 28)
    in_blocks = NPY(**npy(x, NUMBERS)).load()
    assert isinstance(mapped.x_train, RowsOnDisk)
    assert isinstance(mapped.x_train.array, np.memmap)
    for data in (mapped, in_blocks):
        for part in ("train", "val"):
            # The same examples in the order of the file. Sums are in another order, so bits may differ.
            ours, expected = (
                np.column_stack([getattr(d, f"x_{part}")[:], getattr(d, f"y_{part}")]) for d in (data, in_memory)
            )
            expected = expected[np.argsort(np.array(shuffled_indices(part)))]
            np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-12)


def shuffled_indices(part):
    order = generator(0, "split").permutation(60)
    return order[12:] if part == "train" else order[:12]


def run_config(data, **changes):
    config = RunConfig(
        data, MLPConfig([8]), SGDRule(), Constant(), lr=0.1, steps=40, batch_size=16, eval_every=10, dtype="float64"
    )
    return replace(config, **changes)


def test_training_reads_a_mapped_array_batch_by_batch(tmp_path, monkeypatch):
    """At most a batch or a block is read at once, and the curve equals that of the array in memory."""
    files = npy(X, NUMBERS)
    config = run_config(NPY(**files), loss="mse")
    sizes = []
    getitem = RowsOnDisk.__getitem__

    def recording_getitem(self, key):
        result = getitem(self, key)
        sizes.append(len(result))
        return result

    monkeypatch.setattr(RowsOnDisk, "__getitem__", recording_getitem)
    monkeypatch.setattr(rows, "BLOCK_SIZE", 5 * 4)
    train(build_experiment(config), make_directory(tmp_path / "mapped"), bar=False)
    assert set(sizes) <= {16, 5, 2, 3, 1}
    mapped = build_experiment(config).data
    in_memory = replace(mapped, x_train=mapped.x_train[:], x_val=mapped.x_val[:])
    experiment = replace(build_experiment(config), data=in_memory)
    assert isinstance(experiment.data.x_train, np.ndarray)
    train(experiment, make_directory(tmp_path / "in_memory"), bar=False)
    curves = [read_metrics(tmp_path / name) for name in ("mapped", "in_memory")]
    assert curves[0]["train_loss"].tolist() == curves[1]["train_loss"].tolist()
    assert curves[0]["train_loss"][-1] < curves[0]["train_loss"][0]


def make_directory(directory):
    directory.mkdir()
    return directory


def test_full_batch_of_a_mapped_array_is_an_array():
    x = build_experiment(run_config(NPY(**npy(X, CLASSES)), batch_size=None, dtype="float32")).step.batch(0).x
    assert (type(x), x.shape, x.dtype) == (np.ndarray, (48, 4), np.float32)


def array_error(kind, x, y, **options):
    data = NPZ(path=npz(x=x, y=y), **options) if kind == "npz" else NPY(**npy(x, y), **options)
    with pytest.raises(ConfigError) as error:
        data.load()
    message = str(error.value)
    assert "\n" not in message
    for name, short in (("data.npz x", "X"), ("data.npz y", "Y"), ("x.npy", "X"), ("y.npy", "Y")):
        message = message.replace(name, short)
    return message


def test_separate_arrays_for_validation():
    path = npz(x=X, y=CLASSES[:60] % 2, x_test=X[:7] + 1, y_test=np.full(7, 2), numbers=NUMBERS, n_test=NUMBERS[:7])
    data = NPZ(path=path, x_val="x_test", y_val="y_test", standardize=False).load()
    assert data.describe() == "60 training and 7 validation examples, 4 inputs, 3 classes"
    np.testing.assert_array_equal(data.x_train, X)
    np.testing.assert_array_equal(data.x_val, X[:7] + 1)
    np.testing.assert_array_equal(data.y_val, np.full(7, 2))
    data = NPZ(path=path, y="numbers", x_val="x_test", y_val="n_test").load()
    scaled = NPZ(path=path, y="numbers", validation=0.0).load()
    np.testing.assert_allclose(np.sort(data.x_train, axis=0), np.sort(scaled.x_train, axis=0), rtol=1e-12)
    np.testing.assert_allclose(data.x_val, data.x_train[:7] + 1 / X.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(data.y_val, data.y_train[:7], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x_val": "x"}, "data.x_val=x, data.y_val=None: expected names for both, or neither"),
        ({"x_val": "x", "y_val": "z"}, "data.y_val=z: data.npz has no such array; arrays: x, y, narrow"),
        (
            {"x_val": "x", "y_val": "narrow"},
            "data.npz x has shape [60, 4] and data.npz narrow has shape [50, 3]; expected the same number of examples",
        ),
        (
            {"x_val": "narrow", "y_val": "few"},
            "data.npz x has shape [60, 4] and data.npz y has shape [60] and data.npz narrow",
        ),
    ],
)
def test_error_in_arrays_for_validation_is_one_line(options, message):
    data = NPZ(path=npz(x=X, y=CLASSES, narrow=X[:50, :3], few=CLASSES[:50]), **options)
    with pytest.raises(ConfigError) as error:
        data.load()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_files_of_shipped_studies_are_found_after_those_of_the_user():
    shipped = NPZ(path="experiments/mazur.npz", validation=0.0)
    assert len(shipped.load().x_train) == 1
    Path("experiments").mkdir()
    np.savez("experiments/mazur.npz", x=X, y=NUMBERS)
    assert len(shipped.load().x_train) == 60  # the user's file takes precedence


BROKEN = X.copy()
BROKEN[41, 2] = np.nan


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X, CLASSES[:50], {}, "X has shape [60, 4] and Y has shape [50]; expected the same number of examples in both"),
        (X, np.zeros((60, 2, 2)), {}, "X has shape [60, 4] and Y has shape [60, 2, 2]; expected the same number"),
        (np.float64(3), CLASSES, {}, "X: has shape []; expected [examples, ...]"),
        (X.astype(complex), CLASSES, {}, "X: has type complex128; expected numbers"),
        (np.array(["a"] * 60), CLASSES, {}, "X: has type <U1; expected numbers"),
        (X, CLASSES.astype("datetime64[s]"), {}, "Y: has type datetime64[s]; expected numbers"),
        (BROKEN, CLASSES, {}, "X[41]: contains NaN or Inf; remove or replace it"),
        (X, np.full(60, np.inf), {}, "Y[0]: contains NaN or Inf; remove or replace it"),
        (X, np.full(60, 0x7FFFFFFF, "uint32").view("U1"), {}, "Y: contains invalid Unicode; remove or replace it"),
        (X, np.array(["a", "\ud800"] * 30), {}, "Y: contains invalid Unicode; remove or replace it"),
        (X, np.zeros(60, int), {}, "Y: every example has class 0"),
        (
            X,
            NUMBERS,
            {"task": "classification"},
            "Y[0]: has the targets -13.1808, 3.74299, and data.task=classification requires one class per example, or",
        ),
        (X, np.array([["a", "b"]] * 60), {}, "Y: has shape [60, 2]; expected [examples], one class per example"),
        (
            X,
            np.array(["a", "b", "c"])[CLASSES],
            {"task": "regression"},
            "data.task=regression: Y contains strings; expected numbers",
        ),
    ],
)
def test_error_in_arrays_is_one_line(kind, x, y, options, message):
    assert array_error(kind, x, y, **options).startswith(message)


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_empty_arrays_and_pickled_objects_are_rejected(kind):
    assert "X" in array_error(kind, np.empty((0, 4)), np.empty(0))
    assert "cannot be read" in array_error(kind, np.array([{}] * 60), CLASSES)
    assert "cannot be read" in array_error(kind, X, np.array([{}] * 60))


def test_wrong_paths_and_names_of_arrays_are_rejected():
    path, files = npz(x=X, y=CLASSES), npy(X, CLASSES)
    write_text_file("not an array", "text.npz")
    write_text_file("", "empty.npz")
    Path("cut.npz").write_bytes(Path(path).read_bytes()[:-200])
    for data, message in (
        (NPZ(), "data.path=null: expected the path of an npz file; set data.path=FILE"),
        (NPZ(path="nowhere.npz"), "data.path=nowhere.npz: no such file"),
        (NPZ(path=path, x="images"), "data.x=images: data.npz has no such array; arrays: x, y"),
        (NPZ(path=path, y="labels"), "data.y=labels: data.npz has no such array; arrays: x, y"),
        (
            NPZ(path="x.npy"),
            "data.path=x.npy: cannot be read (one array); expected arrays of plain numbers with",
        ),
        (NPZ(path="text.npz"), "data.path=text.npz: cannot be read"),
        (NPZ(path="empty.npz"), "data.path=empty.npz: cannot be read"),
        (NPZ(path="cut.npz"), "data.path=cut.npz: cannot be read"),
        (NPY(), "data.x=null: expected the path of an npy file; set data.x=FILE"),
        (NPY(x="x.npy"), "data.y=null: expected the path of an npy file"),
        (NPY(x="x.npy", y="nowhere.npy"), "data.y=nowhere.npy: no such file"),
        (NPY(x=path, y="y.npy"), "data.x=data.npz: cannot be read"),
        (NPY(x="x.npy", y=path), "data.y=data.npz: cannot be read"),
    ):
        with pytest.raises(ConfigError) as error:
            data.load()
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)
    assert len(NPY(**files).load().x_train) == 48


def archive(**members):
    """An npz file with the given bytes as members."""
    with zipfile.ZipFile("data.npz", "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return Path("data.npz")


def array_bytes(array, old=b"", new=b""):
    """The bytes of an npy file in which a part of the header is replaced by another of equal length."""
    file = io.BytesIO()
    np.save(file, array)
    assert len(old) == len(new)
    return file.getvalue().replace(old, new)


def archive_with_header_byte(offset, value):
    """An npz file with one byte changed in the zip headers of its members."""
    content = bytearray(archive(x=array_bytes(X), y=array_bytes(CLASSES)).read_bytes())
    for signature, position in ((b"PK\x01\x02", offset + 2), (b"PK\x03\x04", offset)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + position] = value
    Path("data.npz").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda: archive_with_header_byte(8, 77), "That compression method is not supported"),
        (lambda: archive_with_header_byte(6, 1), "File 'x.npy' is encrypted, password required for extraction"),
        (lambda: archive(x=b"bytes", y=array_bytes(CLASSES)), "x is not an array"),
        (lambda: archive(x=array_bytes(X, b"'descr'", b"'descr("), y=array_bytes(CLASSES)), ""),
        (lambda: archive(x=array_bytes(X, b"(60, 4)", b"(6**99)"), y=array_bytes(CLASSES)), ""),
        (lambda: npz(x=np.array([{}] * 60), y=CLASSES), "not a file of plain arrays"),
        (lambda: write_text_file("text", "data.npz"), "not a file of plain arrays"),
    ],
    ids=["compression", "encrypted", "bytes", "syntax", "shape", "pickle", "text"],
)
def test_damaged_archive_is_reported_in_one_line_for_training_and_prediction(damage, reason):
    damage()
    trained = Preprocessing(inputs=X.shape[1], classes=3)
    for key, read in (("data.path", NPZ(path="data.npz").load), ("FILE", lambda: read_inputs("data.npz", trained))):
        with pytest.raises(ConfigError) as error:
            read()
        assert str(error.value).startswith(f"{key}=data.npz: cannot be read ({reason}")
        assert "\n" not in str(error.value)
        assert "allow_pickle" not in str(error.value)


def test_errors_of_readers_are_one_line_except_memory_errors():
    for raised in (NotImplementedError, OverflowError("one\ntwo"), SyntaxError("x"), tokenize.TokenError("x", (1, 1))):
        with (
            pytest.raises(ConfigError, match=r"^a=b: cannot be read \(.+\); expected c$"),
            reporting_errors("a", "b", "c"),
        ):
            raise raised
    with pytest.raises(MemoryError), reporting_errors("a", "b", "c"):
        raise MemoryError


def test_inaccessible_path_is_reported_in_one_line():
    for path in ("x" * 5000, "~nobody_of_that_name/x.csv"):
        with pytest.raises(
            ConfigError, match=r"^data.path=.*: cannot be read \(.*\); expected the path of a csv file$"
        ):
            CSV(path=path).load()


# The command


def people(count=40):
    random = np.random.default_rng(0)
    rows = [f"{age},{town},{age / 50 + len(town):.2f}" for age, town in zip(
        random.integers(18, 80, count), random.choice(["Ulm", "Bonn"], count), strict=True
    )]  # fmt: skip
    return write_text_file("age,town,pay\n" + "\n".join(rows) + "\n")


FAST = ("network.widths=[8]", "batch_size=16", "steps=40", "eval_every=10")


def test_csv_on_the_command_line(command):
    people()
    status, out, _ = command(
        "data=csv", "data.path=people.csv", "data.target=pay", "data.categories=[town]", "loss=mse", *FAST
    )
    assert status == 0
    assert "csv: 32 training and 8 validation examples, 3 inputs, 1 number to predict" in out
    (directory,) = Path().glob("outputs/*/*")
    summary = read_summary(directory)
    assert summary.best.metric == "val_loss"
    assert summary.final["val_loss"] < read_metrics(directory)["val_loss"][0]


def test_column_by_number_on_the_command_line(command):
    write_text_file("".join(f"{i % 5},{i % 2}\n" for i in range(40)), "plain.csv")
    status, out, _ = command("data=csv", "data.path=plain.csv", "data.header=false", "data.target=2", *FAST)
    assert status == 0
    assert "1 input, 2 classes" in out


def test_npz_and_npy_on_the_command_line(command):
    npz(x=X, y=CLASSES)
    npy(X, NUMBERS)
    assert command("data=npz", "data.path=data.npz", *FAST)[0] == 0
    assert command("data=npy", "data.x=x.npy", "data.y=y.npy", "loss=mse", *FAST)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=csv"], "data.path=null: expected the path of a csv file; set data.path=FILE"),
        (["data=csv", "data.path=nowhere.csv"], "data.path=nowhere.csv: no such file"),
        (["data=csv", "data.path=people.csv"], "people.csv row 2, column town: 'Ulm' is not a number"),
        (["data=csv", "data.path=people.csv", "data.target=foo"], "columns: age, town, pay"),
        (
            ["data=csv", "data.path=people.csv", "data.categories=[town]", "batch_size=8"],
            "people.csv column pay: has numbers (3.36, 3.44, 3.46, 3.56, 3.68, ...), and the loss requires classes",
        ),
        (["data=csv", "data.path=people.csv", "data.task=foo"], "data.task=foo: expected one of auto"),
        (["data=diabetes"], "loss=cross_entropy: requires classes"),
        (["-m", "data=iris,diabetes"], "loss=cross_entropy: requires classes"),
        (["data=npz"], "data.path=null"),
        (["data=npy"], "data.x=null"),
    ],
)
def test_error_on_the_command_line_is_one_line_and_nothing_is_written(command, arguments, message):
    people()
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["people.csv"]
