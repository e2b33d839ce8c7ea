"""What turns raw examples into inputs of a network, and its outputs into predictions; saved with a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from minitrain.data.dialect import TextOptions
from minitrain.data.image_format import ImageFormat
from minitrain.errors import plural
from minitrain.typing import Array


@dataclass(frozen=True)
class Scale:
    """The standardization of columns: `scaled = (raw - mean) / deviation`.

    Attributes:
        mean: [columns], or one number for all.
        deviation: The standard deviation, [columns], or one number for all.

    >>> scale = Scale(mean=5.0, deviation=2.0)
    >>> scale.apply(np.array([9.0])), scale.undo(np.array([2.0]))
    (array([2.]), array([9.]))
    """

    mean: Array | float = 0.0
    deviation: Array | float = 1.0

    def apply(self, raw: Array, out: Array | None = None) -> Array:
        """Raw values -> scaled values, written to `out` if it is not None."""
        return np.divide(np.subtract(raw, self.mean, out=out), self.deviation, out=out)

    def undo(self, scaled: Array) -> Array:
        """Scaled values -> raw values."""
        return scaled * self.deviation + self.mean


@dataclass(frozen=True)
class Column:
    """A column of a table that is an input: one number, or a one-hot encoding of its categories.

    Attributes:
        name: Its name in the header; empty if the table has none.
        index: Its position in the table, from 0.
        categories: The strings that it contains, in sorted order; empty if it contains numbers.

    >>> Column("town", 1, ("Bonn", "Ulm")).input_names, Column("", 0).input_names
    (['town=Bonn', 'town=Ulm'], ['column 1'])
    """

    name: str
    index: int
    categories: tuple[str, ...] = ()

    @property
    def input_names(self) -> list[str]:
        """The names of its inputs: one, or one per category."""
        name = self.name or f"column {self.index + 1}"
        return [f"{name}={category}" for category in self.categories] or [name]


@dataclass(frozen=True)
class TableFormat:
    """How a table was read, for new examples in similar files.

    Attributes:
        options: What is known of text files.
        width: The number of columns; 0 if the data do not come from a table.
        targets: The positions of the target's columns, from 0.
    """

    options: TextOptions = TextOptions()
    width: int = 0
    targets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Preprocessing:
    """How examples in the units of the user are encoded, and how outputs are decoded.

    Attributes:
        inputs: The number of inputs.
        classes: The number of classes; None if the target is not a class.
        targets: The number of numeric targets; 0 if the target is a class or several labels, or there is none.
        x_scale, y_scale: How inputs and numeric targets are scaled.
        class_names: The names of the classes 0, 1, ...; empty if those are their numbers.
        columns: The columns of the inputs, if the data come from a table.
        target: The name of the target's column, if the data come from a table with a header.
        means: The mean of each input on the training examples, which replaces missing ones; empty if there are none.
        table: How the table was read that the data come from.
        image: What the inputs are as an image, if they are one.
        multilabel: The names of labels of which an example has any number; empty unless that is the target.

    >>> Preprocessing(inputs=2, classes=2).labels, Preprocessing(inputs=2, targets=3).outputs
    (('0', '1'), 3)
    """

    inputs: int
    classes: int | None = None
    targets: int = 0
    x_scale: Scale = Scale()
    y_scale: Scale = Scale()
    class_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    target: str = ""
    means: tuple[float, ...] = ()
    table: TableFormat = TableFormat()
    image: ImageFormat | None = None
    multilabel: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """The number of outputs of a network: one per class, label or numeric target, or one without a target."""
        return self.targets or len(self.multilabel) or 1 if self.classes is None else self.classes

    @property
    def has_target(self) -> bool:
        """Whether the data have a target: a class, labels or numbers."""
        return self.has_labels or self.targets > 0

    @property
    def has_labels(self) -> bool:
        """Whether the target is a class or several labels."""
        return self.classes is not None or bool(self.multilabel)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each class, by default its number, or of each of several labels; empty for numbers."""
        return self.class_names or self.multilabel or tuple(map(str, range(self.classes or 0)))

    @property
    def target_names(self) -> list[str]:
        """The names of the target's columns, if the data come from a table with a header."""
        return [self.target] if len(self.table.targets) < 2 else self.target.split(", ")

    def describe_target(self) -> str:
        """What the target is: `3 classes`, `3 labels`, `2 numbers to predict` or `no target`."""
        if self.classes is not None:
            return f"{self.classes} classes"
        if self.multilabel:
            return f"{len(self.multilabel)} labels"
        return f"{plural(self.targets, 'number')} to predict" if self.targets else "no target"

    def describe_inputs(self) -> str:
        """The number of inputs, and what they are as an image: `784 inputs (28 x 28 gray images)`."""
        inputs = plural(self.inputs, "input")
        return inputs if self.image is None else f"{inputs} ({self.image.describe()})"

    @property
    def input_names(self) -> list[str]:
        """The name of each input: that of its column, or its number from 1."""
        column_names = [name for column in self.columns for name in column.input_names]
        return column_names or [f"input {i + 1}" for i in range(self.inputs)]


# As JSON


def preprocessing_as_json(preprocessing: Preprocessing) -> dict[str, object]:
    """Preprocessing as values of JSON, from which `parse_preprocessing` restores it exactly.

    It is a part of the fingerprint of data, so that fields which came later are written only if they have a value.
    """
    image = preprocessing.image
    values: dict[str, object] = {
        "inputs": preprocessing.inputs,
        "classes": preprocessing.classes,
        "targets": preprocessing.targets,
        "x_scale": _scale_as_json(preprocessing.x_scale, 1 if image is None else image.pixels),
        "y_scale": _scale_as_json(preprocessing.y_scale),
        "class_names": list(preprocessing.class_names),
        "columns": [
            {"name": column.name, "index": column.index, "categories": list(column.categories)}
            for column in preprocessing.columns
        ],
        "target": preprocessing.target,
        "means": list(preprocessing.means),
        "table": {**asdict(preprocessing.table), "targets": list(preprocessing.table.targets)},
    }
    if preprocessing.multilabel:
        values["multilabel"] = list(preprocessing.multilabel)
    return values if image is None else values | {"image": asdict(image)}


def _scale_as_json(scale: Scale, repeats: int = 1) -> dict[str, object]:
    """A scale, whose columns have equal numbers in groups of `repeats`: those of the pixels of a channel."""
    parts = {"mean": np.asarray(scale.mean), "deviation": np.asarray(scale.deviation)}
    return {name: (part[::repeats] if part.ndim else part).tolist() for name, part in parts.items()}


def parse_preprocessing(values: object) -> Preprocessing:
    """Preprocessing from values of JSON, which may be untrusted.

    Raises:
        ValueError: A value is missing or invalid.

    >>> trained = Preprocessing(inputs=2, classes=2, x_scale=Scale(np.array([0.1, 5.0]), np.array([1.0, 3.0])))
    >>> parse_preprocessing(preprocessing_as_json(trained)).x_scale.mean
    array([0.1, 5. ])
    """
    try:
        return _parse(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"preprocessing: a value is missing or of the wrong type ({error})") from error


def _parse(values: object) -> Preprocessing:
    fields = _Fields(values)
    inputs, targets = fields.count("inputs"), fields.count("targets")
    classes = None if fields.values["classes"] is None else fields.count("classes")
    columns = []
    for entry in fields.list("columns"):
        column = _Fields(entry)
        columns.append(Column(column.text("name"), column.count("index"), column.texts("categories")))
    image = _parse_image(fields.values["image"], inputs) if "image" in fields.values else None
    result = Preprocessing(
        inputs,
        classes,
        targets,
        _parse_scale(fields.values["x_scale"], inputs, 1 if image is None else image.pixels),
        _parse_scale(fields.values["y_scale"], targets),
        fields.texts("class_names"),
        tuple(columns),
        fields.text("target"),
        tuple(_parse_numbers("means", fields.values["means"], inputs).tolist()) if fields.list("means") else (),
        _parse_table(fields.values["table"]),
        image,
        fields.texts("multilabel") if "multilabel" in fields.values else (),
    )
    if len(result.class_names) not in (0, classes) or len(result.input_names) != inputs or inputs < 1:
        raise ValueError("preprocessing: numbers of inputs, columns, classes and names contradict each other")
    if result.multilabel and (classes is not None or targets or len(result.multilabel) == 1):
        raise ValueError("preprocessing: several labels beside another target")
    table = result.table
    if any(column.index >= table.width or column.index in table.targets for column in columns):
        raise ValueError("preprocessing: a column has an invalid position")
    return result


def _parse_table(values: object) -> TableFormat:
    fields = _Fields(values)
    options = _Fields(fields.values["options"])
    delimiter, decimal = options.text("delimiter"), options.text("decimal")
    keys = ("likely_delimiter", "likely_decimal")
    likely = [None if options.values[key] is None else options.text(key) for key in keys]
    if decimal not in ("auto", ".", ",") or likely[1] not in (None, ".", ","):
        raise ValueError("table: expected a point or a comma as decimal mark")
    targets = [_Fields({"target": value}).count("target") for value in fields.list("targets")]
    return TableFormat(TextOptions(delimiter, decimal, *likely), fields.count("width"), tuple(targets))


def _parse_image(values: object, inputs: int) -> ImageFormat:
    fields = _Fields(values)
    channels, height, width, white = (fields.count(name) for name in ("channels", "height", "width", "white"))
    if channels * height * width != inputs:
        raise ValueError(f"image: {channels} channels of {height} x {width}; expected {inputs} inputs")
    channels_last, resizes, converts = (fields.flag(name) for name in ("channels_last", "resizes", "converts"))
    return ImageFormat(channels, height, width, white, channels_last, resizes, converts)


def _parse_numbers(name: str, values: object, columns: int) -> Array:
    numbers = np.array(values, np.float64)
    if numbers.shape not in ((), (columns,)) or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: has shape {list(numbers.shape)}; expected {columns} finite numbers")
    return numbers


def _parse_scale(values: object, columns: int, repeats: int = 1) -> Scale:
    parts = []
    for name in ("mean", "deviation"):
        numbers = _parse_numbers(f"scale: {name}", _Fields(values).values[name], columns // repeats)
        parts.append(float(numbers) if numbers.ndim == 0 else np.repeat(numbers, repeats))
    if not np.all(parts[1]):
        raise ValueError("scale: a deviation is 0")
    return Scale(*parts)


class _Fields:
    """An object of JSON, whose values are read by type."""

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise TypeError("expected names and values")
        self.values = values

    def count(self, name: str) -> int:
        value = self.values[name]
        if type(value) is not int or not 0 <= value < 2**31:
            raise TypeError(f"{name}: expected a count")
        return value

    def flag(self, name: str) -> bool:
        value = self.values[name]
        if not isinstance(value, bool):
            raise TypeError(f"{name}: expected true or false")
        return value

    def text(self, name: str) -> str:
        value = self.values[name]
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected a string")
        return value

    def list(self, name: str) -> list[object]:
        value = self.values[name]
        if not isinstance(value, list):
            raise TypeError(f"{name}: expected a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        entries = self.list(name)
        if not all(isinstance(entry, str) for entry in entries):
            raise TypeError(f"{name}: expected strings")
        return tuple(map(str, entries))
