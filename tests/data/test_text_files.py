"""Text files: bytes that are not UTF-8, and names of columns in a comment."""

import json
from pathlib import Path

import numpy as np
import pytest

from minitrain.data import CSV
from minitrain.data.inputs import read_inputs
from minitrain.data.preprocessing import parse_preprocessing, preprocessing_as_json
from minitrain.errors import ConfigError

ROWS = "".join(f"{i},n{i},{i % 2}\n" for i in range(20_000)).encode()
NUMBERS = np.column_stack([np.random.default_rng(0).normal(size=(9, 2)), [0, 1, 0] * 3])


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def error_of(content, **options):
    Path("table.csv").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        CSV(path="table.csv", **options).load()
    assert "\n" not in str(error.value)
    return str(error.value)


# Encoding

ADVICE = "is not UTF-8; save the file as UTF-8, or list the column in data.drop"


def test_cell_that_is_not_utf8_is_located():
    options = {"categories": "auto"}
    latin1 = "caf\u00e9".encode("latin1")
    cell = f"column b: 'caf\ufffd' {ADVICE}"
    for content, row in (
        (b"a,b,y\n1," + latin1 + b",1\n2,x,0\n", 2),
        (b"a,b,y\n" + ROWS + b"3," + latin1 + b",1\n", 20_002),  # beyond the first lines
        (b"# made by hand\n\na,b,y\n" + ROWS + b"3," + latin1 + b",1\n" + ROWS, 20_004),
    ):
        assert error_of(content, **options) == f"table.csv row {row}, {cell}"
    spaces = b"a b y\n" + ROWS.replace(b",", b"  ") + b"3   " + latin1 + b"   1\n"
    assert error_of(spaces, **options) == f"table.csv row 20002, {cell}"
    number = b"a,b,y\n" + ROWS.replace(b"n", b"") + b"3,4\xe9,1\n"
    assert error_of(number) == f"table.csv row 20002, column b: '4\ufffd' {ADVICE}"
    names = b"a,b," + latin1 + b"\n" + ROWS
    assert error_of(names, **options) == "table.csv row 1: a, b, caf\ufffd: is not UTF-8; save the file as UTF-8"
    assert error_of("a,b,y\n1,2,3\n".encode("utf-16")) == "table.csv: is UTF-16; save it as UTF-8"


def test_column_that_is_not_used_may_have_any_bytes():
    latin1 = "caf\u00e9".encode("latin1")
    for rows in (b"1,x,0\n", ROWS):
        content = b"a,b,y\n1," + latin1 + b",1\n" + rows + b"5," + latin1 + b",0\n"
        Path("table.csv").write_bytes(content)
        assert CSV(path="table.csv", drop=["b"]).load().preprocessing.input_names == ["a"]
        message = f"table.csv row {len(content.splitlines()) + 1}, column a: 'bad' is not a number"
        assert message in error_of(content + b"bad,x,1\n", drop=["b"])


def test_character_that_replaces_others_is_a_category_like_any():
    Path("table.csv").write_text("a,b,y\n1,x\ufffd,0\n2,z,1\n", encoding="utf-8")
    names = CSV(path="table.csv", categories="auto").load().preprocessing.input_names
    assert names == ["a", "b=x\ufffd", "b=z"]


# Names in a comment


def names_of(**options):
    preprocessing = CSV(path="table.txt", **options).load().preprocessing
    return [*preprocessing.input_names, preprocessing.target]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"delimiter": ",", "header": "height,weight,kind"}, ["height", "weight", "kind"]),
        ({"delimiter": ",", "header": " height, net weight ,kind"}, ["height", "net weight", "kind"]),
        ({"header": "height weight kind"}, ["height", "weight", "kind"]),
        ({"delimiter": "\t", "header": "made by me\nheight\tweight\tkind"}, ["height", "weight", "kind"]),
        ({"delimiter": ";", "header": "height;weight;kind", "comments": "#"}, ["height", "weight", "kind"]),
        ({"delimiter": ",", "header": "made by hand"}, ["column 1", "column 2", ""]),
        ({"delimiter": ",", "header": "height,weight,height"}, ["column 1", "column 2", ""]),
        ({"delimiter": ",", "header": "height,weight"}, ["column 1", "column 2", ""]),
        ({"delimiter": ",", "header": "Ulm,5,2019"}, ["column 1", "column 2", ""]),
        ({"delimiter": ",", "header": "height,,kind"}, ["column 1", "column 2", ""]),
        ({"delimiter": ",", "header": "height,weight,kind\nmade by hand"}, ["column 1", "column 2", ""]),
    ],
)
def test_comment_that_numpy_writes_names_the_columns(options, names):
    np.savetxt("table.txt", NUMBERS, **options)
    assert names_of() == names
    assert names_of(header=False) == ["column 1", "column 2", ""]
    if names[2]:
        assert names_of(target=names[0])[-1] == names[0]


def test_first_row_that_names_the_columns_is_preferred_to_a_comment():
    Path("table.txt").write_text("# cm, kg, year\na,b,y\n1.5,2,0\n2.5,3,1\n")
    assert names_of() == names_of(header=True) == ["a", "b", "y"]
    Path("table.txt").write_text("# a,b,y\nUlm,x,u\nBonn,y,v\n")  # the first row can be either
    assert names_of(categories="auto") == ["a=Bonn", "a=Ulm", "b=x", "b=y", "y"]
    Path("table.txt").write_text("# a,b,y\n1,2,0\n3,x,1\n")
    with pytest.raises(ConfigError, match=r"table.txt row 3, column b: 'x' is not a number; correct it"):
        CSV(path="table.txt").load()


def test_new_file_is_matched_by_the_names_in_its_comment():
    np.savetxt("table.txt", NUMBERS, header="height weight kind")
    preprocessing = CSV(path="table.txt").load().preprocessing
    stored = parse_preprocessing(json.loads(json.dumps(preprocessing_as_json(preprocessing))))
    np.savetxt("new.txt", [[1, 2, 3]], header="kind weight height")
    assert read_inputs("new.txt", stored).tolist() == [[3, 2]]
    for header in ("measured last summer", "measured"):  # not the names, so that columns are found by position
        np.savetxt("new.txt", [[1, 2, 3]], header=header)
        assert read_inputs("new.txt", stored).tolist() == [[1, 2]]
