"""Arrays and data frames from Python: equal to files with the same content, categories, targets, errors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from minitrain.data import CSV, NPY, NPZ, ArrayData
from minitrain.errors import ConfigError

COLUMNS = {
    "age": [30, None, 50, 41.5] * 5,
    "town": ["Ulm", "Bonn", None, "Ulm"] * 5,
    "member": [True, False, True, True] * 5,
    "visits": [1, 2, 3, 4] * 5,
    "y": ["a", "b", "a", "b"] * 5,
}
INPUTS = {name: column for name, column in COLUMNS.items() if name != "y"}
TEXT = "age,town,member,visits,y\n" + 5 * "30,Ulm,True,1,a\n,Bonn,False,2,b\n50,,True,3,a\n41.5,Ulm,True,4,b\n"
X = np.random.default_rng(0).normal(size=(20, 2, 3))
CLASSES = np.array(COLUMNS["y"])


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def from_csv(**options):
    Path("table.csv").write_text(TEXT)
    return CSV(path="table.csv", **({"categories": "auto"} | options)).load()


def assert_equal(data, expected):
    assert data.fingerprint == expected.fingerprint
    assert (data.preprocessing.input_names, data.preprocessing.labels, data.notes) == (
        expected.preprocessing.input_names,
        expected.preprocessing.labels,
        expected.notes,
    )
    for name in ("x_train", "y_train", "x_val", "y_val"):
        assert getattr(data, name)[:].tobytes() == getattr(expected, name)[:].tobytes()


# Equal to files


def test_arrays_and_lists_equal_an_npz_file():
    np.savez("data.npz", x=X, y=CLASSES)
    expected = NPZ(path="data.npz").load()
    for x in (X, X.tolist(), X.reshape(20, 6), X.astype(object)):
        for y in (CLASSES, CLASSES.tolist(), CLASSES.astype(object)):
            assert_equal(ArrayData(x, y).load(), expected)
    np.savez("data.npz", x=X, y=CLASSES, x_val=X[:4], y_val=CLASSES[:4])
    expected = NPZ(path="data.npz", x_val="x_val", y_val="y_val", standardize=False).load()
    assert_equal(ArrayData(X, CLASSES, X[:4], CLASSES[:4], standardize=False).load(), expected)


def test_numbers_labels_and_one_hot_classes_equal_an_npz_file():
    one_hot = np.eye(2)[[0, 1] * 10]
    for y, expected_target in ((X[:, :, 0], "numbers"), (X[:, :, 0] > 0, "labels"), (one_hot, "classes")):
        np.savez("data.npz", x=X, y=y)
        options = {"expected_target": expected_target, "seed": 3, "validation": 0.3}
        assert_equal(ArrayData(X.tolist(), y.tolist(), **options).load(), NPZ(path="data.npz", **options).load())
    columns = {"left": one_hot[:, 0], "right": one_hot[:, 1]}
    assert ArrayData(X, columns, expected_target="classes").load().preprocessing.labels == ("left", "right")


def test_memory_mapped_arrays_stay_on_disk():
    np.save("x.npy", X)
    np.save("y.npy", np.arange(20) % 2)
    expected = NPY(x="x.npy", y="y.npy").load()
    assert_equal(ArrayData(np.load("x.npy", mmap_mode="r"), np.arange(20) % 2).load(), expected)


class Stream:
    """A data frame of an unknown library."""

    def __init__(self, table):
        self.__arrow_c_stream__ = table.__arrow_c_stream__


def frames():
    table = pa.table(COLUMNS)
    views = table.set_column(1, "town", table["town"].cast(pa.string_view()).dictionary_encode())
    return {
        "dict": COLUMNS,
        "pyarrow": table,
        "batch": table.to_batches()[0],
        "stream": Stream(table),
        "categories": table.set_column(1, "town", table["town"].dictionary_encode()),
        "categories of polars": views,
        "chunks": pa.concat_tables([table[:7], table[7:]]),
    }


@pytest.mark.parametrize("kind", frames())
def test_data_frames_equal_a_table_in_a_file(kind):
    frame, expected = frames()[kind], from_csv()
    assert expected.preprocessing.input_names[:3] == ["age", "town=Bonn", "town=Ulm"]
    assert_equal(ArrayData(frame).load(), expected)
    drop = {"drop": ["visits"], "missing": "drop", "target": "y", "validation": 0.5, "standardize": False}
    assert_equal(ArrayData(frame, **drop).load(), from_csv(**drop))


@pytest.mark.parametrize("y", [COLUMNS["y"], CLASSES, {"y": COLUMNS["y"]}, pa.table({"y": CLASSES})])
def test_target_may_be_apart_from_a_data_frame(y):
    assert_equal(ArrayData(INPUTS, y).load(), from_csv())


def test_targets_of_a_data_frame():
    options = {"target": ["age", "visits"], "expected_target": "numbers"}
    assert_equal(ArrayData(COLUMNS, **options).load(), from_csv(**options))
    columns = {name: COLUMNS[name] for name in ("member", "visits", "y")}
    two = ArrayData({"x": COLUMNS["visits"]}, np.eye(2)[[0, 1] * 10], expected_target="labels").load()
    assert (two.preprocessing.labels, two.y_train.dtype) == (("y0", "y1"), bool)
    assert ArrayData(columns, target="member").load().preprocessing.labels == ("False", "True")
    for y in (COLUMNS["member"], np.array(COLUMNS["member"])):
        assert ArrayData(X, y).load().preprocessing.labels == ("False", "True")
        assert ArrayData({"x": COLUMNS["visits"]}, y).load().preprocessing.labels == ("False", "True")


def test_categories_that_are_numbers_stay_categories():
    table = pa.table({"grade": pa.array([30, 10, 20, 10] * 5).dictionary_encode(), "y": [0, 1] * 10})
    assert ArrayData(table).load().preprocessing.input_names == ["grade=10", "grade=20", "grade=30"]
    assert ArrayData(table, categories=[]).load().preprocessing.input_names == ["grade"]
    swapped = table.select(["y", "grade"])
    assert ArrayData(swapped).load().preprocessing.labels == ("10", "20", "30")
    assert ArrayData(swapped, task="regression").load().preprocessing.targets == 1


def test_validation_examples_of_a_data_frame():
    train, val = pa.table(COLUMNS)[:12], pa.table(COLUMNS)[12:]
    data = ArrayData(train, x_val=val, missing="drop").load()
    assert data.describe() == (
        "6 training and 4 validation examples, 6 inputs, 2 classes; 10 rows with missing cells left out"
    )
    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-12)
    apart = ArrayData(train.drop_columns("y"), train["y"].to_pylist(), val.drop_columns("y"), val["y"].to_pylist())
    assert_equal(apart.load(), ArrayData(train, x_val=val).load())
    counts = train.set_column(0, "age", pa.array([1] * 12))  # integers here, numbers with a fraction there
    assert len(ArrayData(counts, x_val=val).load().x_val) == 8


def test_structured_array_has_columns():
    rows = [(30.0, "Ulm", 1), (20.0, "Bonn", 0)] * 5
    array = np.array(rows, dtype=[("age", float), ("town", "U4"), ("y", int)])
    assert ArrayData(array).load().preprocessing.input_names == ["age", "town=Bonn", "town=Ulm"]


# pandas


def test_pandas_equals_a_table_in_a_file():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(COLUMNS, index=pd.Index([*range(100, 120)], name="id"))
    expected = from_csv()
    types = {"town": "category", "visits": "Int64", "age": "float32", "member": "boolean"}
    for table in (frame, frame.astype(types), frame.convert_dtypes()):
        assert_equal(ArrayData(table).load(), expected)
        assert_equal(ArrayData(table.drop(columns="y"), table["y"]).load(), expected)
        assert_equal(ArrayData(table.drop(columns="y"), table["y"].tolist()).load(), expected)
    indexed = frame.set_index(["visits", "age"], append=True)[["town", "y"]]
    assert ArrayData(indexed).load().preprocessing.input_names == ["town=Bonn", "town=Ulm"]
    frame.to_csv("pandas.csv", index=False)
    assert_equal(ArrayData(frame).load(), CSV(path="pandas.csv", categories="auto").load())
    frame.to_parquet("pandas.parquet", index=False)
    assert_equal(ArrayData(frame).load(), CSV(path="pandas.parquet", categories="auto").load())


def test_pandas_beside_arrays():
    pd = pytest.importorskip("pandas")
    expected = ArrayData(X, CLASSES).load()
    for y in (pd.Series(CLASSES), pd.Series(CLASSES, dtype="category"), pd.DataFrame({"kind": CLASSES})):
        assert_equal(ArrayData(X, y).load(), expected)
    numbers = ArrayData(X, pd.Series(range(20), dtype="Int64"), expected_target="numbers").load()
    assert_equal(numbers, ArrayData(X, np.arange(20), expected_target="numbers").load())
    bare = ArrayData(pd.DataFrame(X.reshape(20, 6)), CLASSES).load()  # columns that are named 0, 1, ...
    np.testing.assert_array_equal(bare.x_train, expected.x_train)
    with pytest.raises(ConfigError, match=r"x: cannot be converted to a table \(.*x.*\); expected a data frame with"):
        ArrayData(pd.DataFrame({"a": [1, "x"], "y": [0, 1]}))
    with pytest.raises(ConfigError, match="Duplicate column names found"):
        ArrayData(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "y"]))


# Errors


def error_of(*examples, **options):
    with pytest.raises(ConfigError) as error:
        ArrayData(*examples, **options).load()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ((), {}, "data=arrays: the examples of such a run are given from Python and are not stored; train or resume"),
        ((X,), {}, "y: not given; expected the targets of the examples in x"),
        (([[1, 2], [3]], [0, 1]), {}, "x: cannot be converted to an array ("),
        (([[1, "a"]], [0]), {}, "x: has type <U21; expected numbers, or a data frame, whose columns may contain"),
        (([[1, None]], [0]), {}, "x: has type object; expected numbers or strings; a data frame may have"),
        (("table.csv",), {}, "x: has type <U9; expected numbers"),
        ((X, [0, None] * 10), {}, "y: has type object; expected numbers or strings; a data frame may have"),
        ((X, [0, 1]), {}, "x has shape [20, 2, 3] and y has shape [2]; expected the same number of examples"),
        ((X * np.nan, CLASSES), {}, "x[0]: contains NaN or Inf"),
        ((np.ma.masked_array([[1.0]], [[True]]), [0]), {}, "x: is a masked array; fill the masked values"),
        ((X, CLASSES), {"target": "y"}, "target=y: x is an array, which has no names; leave it out"),
        ((X, CLASSES), {"drop": ["a"]}, "drop=['a']: x is an array"),
        ((X, CLASSES, X), {}, "x_val, y_val: expected both, as x and y, or neither"),
        ((X, CLASSES, None, CLASSES), {}, "x_val, y_val: expected both, as x and y, or neither"),
        ((X, CLASSES, X[:, :, :1], CLASSES), {}, "x has shape [20, 2, 3] and y has shape [20] and x_val has shape"),
        ((X, CLASSES, INPUTS, CLASSES), {}, "x_val: is a data frame, and x is an array; expected the same type"),
        ((INPUTS, CLASSES, X, CLASSES), {}, "x_val: is an array, and x is a data frame; expected the same type"),
        ((COLUMNS, None, INPUTS), {}, "x_val: has the columns age, town, member, visits; expected age, town, member"),
        ((COLUMNS,), {"target": "z"}, "data.target=z: x has no such column; columns: age, town, member, visits, y"),
        ((COLUMNS, CLASSES), {}, "y: x has a column y, too; leave it out of x, or rename it"),
        ((INPUTS, CLASSES), {"target": "age"}, "target=age: y is given, too; leave one of them out"),
        ((INPUTS, CLASSES[:3]), {}, "x has 20 rows and y has 3; expected the same number"),
        ((INPUTS, X), {}, "y: has shape [20, 2, 3]; expected [examples] or [examples, outputs]"),
        ((COLUMNS,), {"categories": []}, "x[0], column town: 'Ulm' is not a number; correct it, or list the column"),
        ((COLUMNS,), {"missing": "error"}, "x[1], column age: an empty cell is a missing value"),
        (({**COLUMNS, "age": [np.inf] * 20},), {}, "x[0], column age: 'inf' is not a number"),
        (({"a": [1, 2], "y": [None] * 2}, None, {"a": [1, 2], "y": [0, 1]}), {}, "x: no training example has a target"),
        (({"y": CLASSES},), {}, "x: y is the only column; expected inputs beside the target"),
        (({},), {}, "x: has no columns; expected one column per input"),
        (({"a": [], "y": []},), {}, "x: has no rows; expected one row per example"),
        (({"a": [1], "y": [0, 1]},), {}, "x: cannot be converted to a table ("),
        (({"a": [[1], [2]], "y": [0, 1]},), {}, "x column a: has type list<item: int64> (Unsupported cast"),
    ],
)  # fmt: skip
def test_error_is_one_line(examples, options, message):
    assert error_of(*examples, **options).startswith(message)


def test_type_that_cannot_be_read_may_be_dropped():
    columns = {"a": [[1], [2]] * 5, "b": [1, 2] * 5, "y": [0, 1] * 5}
    parquet.write_table(pa.table(columns), "lists.parquet")
    for load in (ArrayData(columns, drop=["a"]).load, CSV(path="lists.parquet", drop=["a"]).load):
        assert load().preprocessing.input_names == ["b"]
    with pytest.raises(ConfigError, match=r"lists.parquet column a: has type list<element: int64> \(Unsupported cast"):
        CSV(path="lists.parquet").load()
