"""One table of every public function and method: what it is compared with, and over which types, shapes and axes.

`python tests/function_table.py` writes docs/functions.md from it.
"""

from __future__ import annotations

from pathlib import Path

import array_rows
import elementwise_rows
import layer_rows
import reduction_rows
from function_rows import Row

from minitrain import Tensor
from minitrain import functional as F

PAGE = Path(__file__).parents[1] / "docs" / "functions.md"
TABLE = [*elementwise_rows.ROWS, *reduction_rows.ROWS, *array_rows.ROWS, *layer_rows.ROWS]
# Attributes of Tensor that are no functions of its value, and where they are tested.
OF_THE_GRAPH = ("backward", "zero_grad", "grad", "requires_grad", "primitive", "inputs", "options", "name", "label")
OF_WRITES = ("data", "input_versions", "version", "mark_changed", "rebind")
CONVERSIONS = ("array", "bool", "float", "int", "len", "format", "repr", "hash", "init")
REFUSED = ("array_function", "array_ufunc", "setitem")
NOT_FUNCTIONS = {
    "T": "transpose()",
    **dict.fromkeys(("shape", "ndim", "size", "dtype"), "the type"),
    **dict.fromkeys(OF_THE_GRAPH, "tests/autograd/test_grad.py, test_tensor.py"),
    **dict.fromkeys(OF_WRITES, "writes: tests/autograd/test_tensor.py, test_types.py"),
    **dict.fromkeys(("numpy", "item", "tolist"), "conversion: tests/autograd/test_tensor.py, test_types.py"),
    **{f"__{name}__": "conversion: tests/autograd/test_tensor.py" for name in CONVERSIONS},
    **{f"__{name}__": "refused: tests/autograd/test_tensor.py" for name in REFUSED},
}


SYMBOLS = {
    "add": "x + y", "sub": "x - y", "mul": "x * y", "truediv": "x / y", "floordiv": "x // y", "mod": "x % y",
    "pow": "x ** y", "matmul": "x @ y", "gt": "x > y", "ge": "x >= y", "lt": "x < y", "le": "x <= y", "eq": "x == y",
    "ne": "x != y", "and": "x & y", "or": "x | y", "xor": "x ^ y", "invert": "~x", "neg": "-x", "pos": "+x",
    "abs": "abs(x)", "round": "round(x)", "getitem": "x[key]",
}  # fmt: skip
REFLECTED = {f"__r{name}__" for name in SYMBOLS} - {"__round__"}
INTRODUCTION = """\
# Functions

Every function of `minitrain.functional` and every method and operator of `Tensor`, beside the functions of PyTorch
and NumPy that they are compared with, over types, empty arrays, and axes that exist and that do not, with gradients to
order 2 (`tests/autograd/test_function_table.py`). `python tests/function_table.py` writes this page.

Types: a result has the widest floating-point type of its operands; if there is none, NumPy's type. Numbers and 0-d
arrays never promote a floating-point Tensor. Functions that need fractions (`exp`, `mean`, `softmax` and others) take
integers and booleans as float64; sums and products of integers and booleans are int64, and those of uint64 stay. Only
floating-point values carry a gradient. float16, long doubles and complex numbers are refused.
"""


def page() -> str:
    """The text of docs/functions.md."""
    rows: dict[str, Row] = {}
    for row in TABLE:
        rows.setdefault(row.name, row)
    lines = [INTRODUCTION, "| function | method | PyTorch | NumPy | remarks |", "|---|---|---|---|---|"]
    lines += [_line(rows[name]) for name in sorted(rows) if name in F.__all__]
    lines += ["", "## Methods and operators that are no functions", ""]
    lines += ["| method | PyTorch | NumPy | remarks |", "|---|---|---|---|"]
    lines += [_line(rows[name]) for name in sorted(rows) if name not in {*F.__all__, *REFLECTED}]
    return "\n".join([*lines, ""])


def _line(row: Row) -> str:
    name = SYMBOLS.get(row.name.strip("_"), row.name) if row.name.startswith("__") else row.name
    method = [f"`.{row.name}`" if hasattr(Tensor, row.name) else ""] if row.name in F.__all__ else []
    libraries = [f"`{library}`" if library else "" for library in (row.torch_name, row.numpy_name)]
    return f"| `{name}` | {' | '.join([*method, *libraries, row.note])} |".replace("x | y", "x \\| y")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
