"""Tables as people have them: dialects, headers, missing cells, targets of any kind, and new files for prediction."""

import gzip
import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from minitrain.data import CSV, NPZ, text_files
from minitrain.data.inputs import read_inputs
from minitrain.data.preprocessing import Preprocessing, parse_preprocessing, preprocessing_as_json
from minitrain.data.rows import mean_and_deviation
from minitrain.errors import ConfigError
from minitrain.rng import generator

PLAIN = {"validation": 0.0, "standardize": False, "standardize_target": False}
BODY = "1.5,2,0\n2.5,3,1\n3.5,4,0\n4,5,1\n"
X, Y = [[1.5, 2], [2.5, 3], [3.5, 4], [4, 5]], [0, 1, 0, 1]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content, name="table.csv"):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def load(content, name="table.csv", **options):
    """The dataset of a file, whose examples are all for training and in the order of the file."""
    data = CSV(path=write(content, name), **PLAIN, **options).load()
    order = np.argsort(generator(0, "split").permutation(len(data.x_train)))
    return replace(data, x_train=data.x_train[order], y_train=data.y_train[order])


def error_of(content, **options):
    with pytest.raises(ConfigError) as error:
        CSV(path=write(content), **options).load()
    assert "\n" not in str(error.value)
    return str(error.value)


# Dialects


@pytest.mark.parametrize(
    "content",
    [
        "a,b,y\n" + BODY,
        BODY,
        "a;b;y\n" + BODY.replace(",", ";"),
        "a;b;y\n" + BODY.replace(",", ";").replace(".", ","),
        BODY.replace(",", ";").replace(".", ","),
        "a\tb\ty\n" + BODY.replace(",", "\t").replace(".", ","),
        'a,b,y\n"1,5",2,0\n"2,5",3,1\n"3,5",4,0\n4,5,1\n',
        "a|b|y\n" + BODY.replace(",", "|"),
        "  a \t b  y\n" + BODY.replace(",", " \t "),
        BODY.replace(",", "   "),
        "# a table, by hand\na,b,y\n# two halves\n" + BODY,
        "a,b,y\r\n" + BODY.replace("\n", "\r\n"),
        "a,b,y\r" + BODY.replace("\n", "\r"),
        "\ufeffa,b,y\n\n" + BODY + "  \n",
        gzip.compress(("a,b,y\n" + BODY).encode(), mtime=0),
        "a,b,y,\n" + BODY.replace("\n", ",\n"),
        "a,b,y\n" + BODY.replace("\n", ",\n"),
        BODY.replace("\n", ",\n"),
        ",a,b,y\n" + "".join(f"{i},{row}\n" for i, row in enumerate(BODY.splitlines())),
        "Unnamed: 0,a,b,y\n" + "".join(f"{9 - i},{row}\n" for i, row in enumerate(BODY.splitlines())),
        ",0,1,2\n" + "".join(f"{i},{row}\n" for i, row in enumerate(BODY.splitlines())),
        '"a" "b" "y"\n' + "".join(f'"{i}" {row}\n' for i, row in enumerate(BODY.replace(",", " ").splitlines(), 1)),
        "person,2019,2020,y\n" + "".join(f"p{i},{row}\n" for i, row in enumerate(BODY.splitlines())),
    ],
)
def test_table_is_read_in_every_dialect(content):
    is_person = isinstance(content, str) and content.startswith("person")
    data = load(content, drop="person" if is_person else [])
    assert data.x_train.tolist() == X
    assert data.y_train.tolist() == Y


def test_quoted_cells_contain_delimiters_and_lines_in_every_chunk(monkeypatch):
    monkeypatch.setattr(text_files, "CHUNK_SIZE", 7)
    data = load('town,note,y\n"New\nYork","a ""b"", c",1\nUlm,d,0\n', categories=["town", "note"])
    assert data.preprocessing.input_names == ["town=New\nYork", "town=Ulm", 'note=a "b", c', "note=d"]
    assert data.x_train.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]


def test_columns_aligned_by_spaces_and_tabs_with_quoted_names():
    text = (
        '18.0   8   307.0      130.0  \t"chevrolet chevelle malibu"\n'
        '15.0   8   350.0      ?      \t"buick skylark 320"\n'
        '25.0   4   98.00      90.00  \t"ford pinto"\n'
    )
    data = load(text, target="1", drop=["5"])
    assert data.x_train.tolist() == [[8, 307, 130], [8, 350, 110], [4, 98, 90]]
    assert data.y_train.tolist() == [[18], [15], [25]]


def test_colors_are_no_comments():
    data = load("color,y\n#ff0000,1\n#00ff00,0\n#ff0000,1\n", categories="color")
    assert data.preprocessing.input_names == ["color=#00ff00", "color=#ff0000"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "0,1,2,3\n1.5,2.5,1,0\n1,2,3,1\n",
            "row 1: 0, 1, 2, 3: can be the names of the columns or an example; set data.h",
        ),
        ("5,abc,3\n1,2,3\n2,3,4\n", "row 1: 5, abc, 3: can be the names of the columns or an example"),
        ("red,big\nblue,small\n", "row 1: red, big: can be the names of the columns or an example"),
        (
            "a;y\n1,234;0\n2,345;1\n",
            "the comma of 1,234 can be a decimal mark or separate thousands; set data.decimal=",
        ),
        ("a;y\n1.234,5;0\n2.345,5;1\n", "row 2, column a: '1.234,5' is not a number; correct it"),
        ('a,y\n"1,5",0\n2.5,1\n3.5,1\n', "row 2, column a: '1,5' is not a number; correct it, or set data.decimal=','"),
        (
            "a,b,y\n1,2,0\n" + "1,x,0\n",
            "row 3, column b: 'x' is not a number; correct it, or list the column in data.cat",
        ),
        ("a,b,y\n" + "1,2,0\n" * 9 + "1,2\n", "row 11: 2 cells; expected 3, as in row 1; correct the row"),
        ("# x\n\na,b,y\n1,2,0\n1,2\n", "row 5: 2 cells; expected 3, as in row 3"),
        ("a,y\n1e400,0\n1,1\n", "row 2, column a: '1e400' is not a number"),
        ("a,y\n1,?\n2,\n", "no row has a target"),
        ("a,b,y\n,,0\n,,1\n", "no column of inputs has values"),
        (b"PK\x03\x04" + b"0" * 99, "is an Excel workbook or a zip archive; save it as csv"),
    ],
)
def test_what_is_not_clear_is_asked_in_one_line(content, message):
    assert message in error_of(content)


def test_row_and_column_are_those_of_the_file_in_every_chunk(monkeypatch):
    monkeypatch.setattr(text_files, "CHUNK_SIZE", 64)
    text = "a,b,y\n" + "1, 2,0\n\n# note\n" * 50
    assert "row 152, column b: 'x' is not a number" in error_of(text + "1,x,1\n")
    assert "row 152: 4 cells; expected 3" in error_of(text + "1,2,3,4\n")


def test_numbers_are_rounded_like_python_rounds_them():
    """Random bits, 17 digits, and long decimals; each also in a column that pyarrow alone does not parse."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**64, 3000, dtype=np.uint64)
    values = [struct.unpack("d", struct.pack("Q", int(b)))[0] for b in bits]
    cells = [f"{value:.17e}" for value in values if np.isfinite(value)]
    cells += [repr(value) for value in values if np.isfinite(value)]
    cells += [
        f"{value:.{digits}f}"
        for value, digits in zip(random.normal(size=999), random.integers(1, 25, 999), strict=True)
    ]
    rows = "".join(f"{cell},{cell},1\n" for cell in cells)
    data = load(f"a,b,y\n{rows}1, ?,0\n")
    expected = np.array([float(cell) for cell in cells])
    np.testing.assert_array_equal(data.x_train[:-1].view("i8"), np.stack([expected, expected], axis=1).view("i8"))


# Missing values


MISSING = "a,town,y\n1,Ulm,0\n?,Bonn,1\n3, NA,0\n,Ulm,1\n8,Ulm,\n9,Bonn,1\n4,Bonn,0\n2,Ulm,NaN\n6,Ulm,1\n7,Bonn,0\n"


def test_missing_inputs_are_the_means_of_the_training_examples():
    """As in a pipeline of scikit-learn: SimpleImputer and OneHotEncoder, then StandardScaler."""
    data = CSV(path=write(MISSING), categories="auto").load()
    assert data.notes == ("2 rows with missing cells left out", "3 missing cells replaced by means")
    numbers = np.array([1, np.nan, 3, np.nan, 9, 4, 6, 7])
    towns = ["Ulm", "Bonn", None, "Ulm", "Bonn", "Bonn", "Ulm", "Bonn"]
    encoder = OneHotEncoder(categories=[["Bonn", "Ulm"]], handle_unknown="ignore", sparse_output=False)
    one_hot = encoder.fit_transform(np.array([[town] for town in towns], object))
    one_hot[2] = np.nan
    raw = np.column_stack([numbers, one_hot])
    order = generator(0, "split").permutation(8)
    train, val = raw[order[2:]], raw[order[:2]]
    imputer = SimpleImputer().fit(train)
    scaler = StandardScaler().fit(imputer.transform(train))
    np.testing.assert_allclose(data.x_train, scaler.transform(imputer.transform(train)), atol=1e-12)
    np.testing.assert_allclose(data.x_val, scaler.transform(imputer.transform(val)), atol=1e-12)
    np.testing.assert_allclose(data.preprocessing.means, imputer.statistics_, rtol=1e-12)


def test_missing_cells_are_dropped_or_rejected():
    data = load(MISSING, categories="town", missing="drop")
    assert data.x_train[:, 0].tolist() == [1, 9, 4, 6, 7]
    message = (
        "table.csv row 3, column a: '?' is a missing value; correct it, or set data.missing=mean or data.missing=drop"
    )
    assert error_of(MISSING, categories="town", missing="error") == message


def test_a_category_may_be_called_none():
    data = load("a,pool,y\n1,None,0\n2,small,1\n3,None,1\n-,-,0\n", categories="auto")
    assert data.preprocessing.input_names == ["a", "pool=-", "pool=None", "pool=small"]
    assert data.x_train[3, 0] == 2.0


def test_columns_without_values_are_left_out():
    data = load("a,b,y\n1,,0\n2,,1\n")
    assert (data.x_train.tolist(), data.notes) == ([[1], [2]], ("column b has no values and is not used",))


# Columns


def test_columns_are_dropped_and_categories_are_identified():
    text = "id,town,age,y\n1,Ulm,30,0\n2,Bonn,40,1\n3,Ulm,50,1\n"
    data = load(text, drop=["id"], categories="auto")
    assert data.preprocessing.input_names == ["town=Bonn", "town=Ulm", "age"]
    assert data.x_train.tolist() == [[0, 1, 30], [1, 0, 40], [0, 1, 50]]
    assert "data.drop=nowhere: table.csv has no such column; columns: id, town, age, y" in error_of(
        text, drop="nowhere"
    )
    assert "data.drop=y: data.target or" in error_of(text, drop="y", target="y")


def test_text_below_the_first_rows_makes_a_column_categories(monkeypatch):
    monkeypatch.setattr(text_files, "HEAD_SIZE", 16)
    text = "a,b,y\n" + "1,2,0\n" * 50 + "1,two,1\n"
    data = load(text, categories="auto")
    assert data.preprocessing.input_names == ["a", "b=2", "b=two"]
    assert data.x_train[-1].tolist() == [1, 0, 1]


@pytest.mark.parametrize("factor", [1e200, 1e-200, 2.0**1000, 2.0**-1000, 1e304, 1e-304])
def test_column_of_extreme_numbers_is_standardized_like_any_other(factor):
    x = np.random.default_rng(0).normal(3.0, 2.0, (100, 2))
    mean, deviation = mean_and_deviation(x)
    other_mean, other_deviation = mean_and_deviation(x * [1.0, factor])
    assert (other_mean[0], other_deviation[0]) == (mean[0], deviation[0])
    np.testing.assert_allclose(other_mean[1] / factor, mean[1], rtol=1e-13)
    np.testing.assert_allclose(other_deviation[1] / factor, deviation[1], rtol=1e-13)


def test_columns_without_variance_stay_constant():
    for value in (0.0, 0.1, 1e-300, 1e300):
        assert mean_and_deviation(np.full((7, 1), value))[1] == [1.0]


# Targets


@pytest.mark.parametrize(
    ("targets", "names", "classes"),
    [
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993"), [1, 0]),
        (["007", "7", "08"], ("7", "007", "08"), [1, 0, 2]),
        (["1.0", "1", "2"], ("1", "2"), [0, 0, 1]),
        (["2.50", "1e3", "2.50"], ("2.50", "1e3"), [0, 1, 0]),
        (["2024-02-03", "2024-01-02"], ("2024-01-02", "2024-02-03"), [1, 0]),
        (["None", "Mild"], ("Mild", "None"), [1, 0]),
        (["True", "False"], ("False", "True"), [1, 0]),
        (["-1", "1"], ("-1", "1"), [0, 1]),
    ],
)
def test_classes_are_named_by_their_exact_text(targets, names, classes):
    data = load("a,y\n" + "".join(f"1,{target}\n" for target in targets), task="classification")
    assert (data.preprocessing.class_names, data.y_train.tolist()) == (names, classes)


@pytest.mark.parametrize("kind", ["csv", "npz"])
@pytest.mark.parametrize(
    ("targets", "expected", "result"),
    [
        ([0, 1, 4], "numbers", [[0], [1], [4]]),
        ([0, 1, 1], "numbers", [[0], [1], [1]]),
        ([0, 1, 1], "classes", [0, 1, 1]),
        ([0, 1, 1], None, [0, 1, 1]),
        ([2, 4, 4], None, [[2], [4], [4]]),
        (
            [2, 4, 4],
            "classes",
            "has numbers (2, 4), and the loss requires classes; set loss=mse, or data.task=classifi",
        ),
        ([0.5, 4, 4], "classes", "has numbers (0.5, 4), and the loss requires classes; set loss=mse"),
        ([[0, 1], [1, 0]], "classes", [1, 0]),
        ([[0, 1], [1, 0]], "numbers", [[0, 1], [1, 0]]),
        ([[0, 1], [1, 1]], "labels", [[False, True], [True, True]]),
        ([0, 1, 1], "labels", [0, 1, 1]),
        ([2, 4, 4], "labels", "has numbers (2, 4), and the loss requires classes; set loss=mse, or data.task=classifi"),
        (
            [[0, 1], [1, 1]],
            "classes",
            "has the targets 1, 1, and the loss requires one class per example, or one 1 among",
        ),
    ],
)
def test_loss_decides_what_a_target_is(kind, targets, expected, result):
    y = np.array(targets)
    columns = y.reshape(len(y), -1)
    names = ["p", "q"][: columns.shape[1]]
    if kind == "csv":
        text = "\n".join([",".join(["a", *names]), *(",".join(map(str, [1, *row])) for row in columns.tolist())]) + "\n"
        config = CSV(path=write(text), target=names, expected_target=expected, **PLAIN)
    else:
        np.savez("data.npz", x=np.ones((len(y), 1)), y=y)
        config = NPZ(path="data.npz", expected_target=expected, **PLAIN)
    if isinstance(result, str):
        with pytest.raises(ConfigError) as error:
            config.load()
        assert result in str(error.value)
    else:
        order = np.argsort(generator(0, "split").permutation(len(y)))
        assert config.load().y_train[order].tolist() == result


def test_counts_with_mse_are_predicted_as_numbers(command):
    write("a,y\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(40)))
    arguments = ["data=csv", "data.path=table.csv", "batch_size=8", "steps=20", "hydra.run.dir=run"]
    status, out, _ = command(*arguments, "loss=mse")
    assert (status, "1 input, 1 number to predict" in out) == (0, True)
    assert command("predict", "run", "table.csv")[0] == 0
    assert Path("run/predictions.csv").read_text().startswith("prediction\n")


# Prediction


def inputs(trained, new, name="new.csv", **options):
    """The inputs in a new file for the preprocessing of another, which is stored as JSON in between."""
    preprocessing = load(trained, **options).preprocessing
    stored = parse_preprocessing(json.loads(json.dumps(preprocessing_as_json(preprocessing))))
    assert stored == preprocessing
    return read_inputs(write(new, name), stored).tolist()


INDEXED = ",a,b,y\n0,1.5,2,0\n1,2.5,3,1\n2,3.5,7,0\n"
EUROPEAN = "a;b;y\n1,5;2;0\n2,5;3;1\n3,5;7;0\n"
TOWNS = "town,b,y\nUlm,2,0\nBonn,3,1\nUlm,7,0\n"


@pytest.mark.parametrize(
    ("trained", "new", "expected"),
    [
        (INDEXED, "b,a\n8,9\n", [[9, 8]]),
        (INDEXED, ",a,b\n0,9,8\n", [[9, 8]]),
        (INDEXED, "0,9,8,1\n", [[9, 8]]),
        (INDEXED, "0,9,8\n", [[9, 8]]),
        (INDEXED, "9,8\n", [[9, 8]]),
        (INDEXED, "b;a\n1,5;2\n", [[2, 1.5]]),
        (INDEXED, "a,b\n?,8\n", [[2.5, 8]]),
        (INDEXED, ",8\n9,\n", [[2.5, 8], [9, 4]]),
        (EUROPEAN, "1,5;2\n", [[1.5, 2]]),
        (EUROPEAN, "a,b\n1.5,2\n", [[1.5, 2]]),
        (TOWNS, "town,b\nParis,1\nUlm,2\n?,3\n", [[0, 0, 1], [0, 1, 2], [1 / 3, 2 / 3, 3]]),
        (TOWNS, "Paris,1\nUlm,2\n", [[0, 0, 1], [0, 1, 2]]),
    ],
)
def test_new_files_are_read_as_the_training_data_were(trained, new, expected):
    assert inputs(trained, new, categories="auto") == expected


def test_without_training_means_missing_cells_are_rejected():
    with pytest.raises(ConfigError, match=r"new.csv row 2, column 1: an empty cell is a missing value; correct it"):
        read_inputs(write("1,2\n,3\n", "new.csv"), Preprocessing(inputs=2, classes=2))


def test_invalid_positions_in_a_record_are_rejected():
    values = preprocessing_as_json(load(TOWNS, categories="auto").preprocessing)
    for change in ({"width": 1}, {"targets": [0]}, {"targets": [-1]}, {"options": {}}):
        with pytest.raises(ValueError, match=r"preprocessing|table"):
            parse_preprocessing({**values, "table": {**values["table"], **change}})


# Formats


def test_parquet_equals_csv():
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"age": [30, None, 50], "town": ["Ulm", "Bonn", None], "x": [0.5, 1.5, 2.5], "y": [1, 0, 1]}
    parquet.write_table(pa.table(columns), "table.parquet")
    data = CSV(path="table.parquet", categories="auto", **PLAIN).load()
    text = "age,town,x,y\n30,Ulm,0.5,1\n,Bonn,1.5,0\n50,,2.5,1\n"
    expected = CSV(path=write(text), categories="auto", **PLAIN).load()
    np.testing.assert_array_equal(data.x_train, expected.x_train)
    np.testing.assert_array_equal(data.y_train, expected.y_train)
    assert data.preprocessing.input_names == expected.preprocessing.input_names
    assert data.notes == expected.notes
    new = read_inputs("table.parquet", expected.preprocessing)
    np.testing.assert_array_equal(new, read_inputs("table.csv", data.preprocessing))
    with pytest.raises(ConfigError, match=r"table.parquet row 1, column town: 'Ulm' is not a number"):
        CSV(path="table.parquet").load()


def test_name_of_a_file_can_have_any_characters():
    assert load("a,b,y\n" + BODY, name="a b=c,[d] 'é'.csv").x_train.tolist() == X


def test_reader_is_imported_only_for_tables():
    code = "import sys; from minitrain.data import CSV, Iris; Iris().load(); print('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
