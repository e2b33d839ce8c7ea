"""Imports point one way: a file imports from rooms above its own in README's drawing, or from files to its left."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import minitrain

PACKAGE = Path(minitrain.__file__).parent
README = PACKAGE.parent / "README.md"
MOST_LOOSE_MODULES = 9
INDEPENDENT = {("nn", "optim"), ("optim", "nn"), ("plotting", "sweep"), ("compare", "sweep")}


@cache
def modules() -> dict[str, Path]:
    return {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}


@cache
def order() -> list[str]:
    """The modules in README's drawing, from the lowest up."""
    _, _, rest = README.read_text(encoding="utf-8").partition("## Architecture")
    block = rest.split("```")[1]
    order: list[str] = []
    for line in block.splitlines():
        if match := re.match(r" (\S+/|\(loose\)) +(.*)", line):
            room, line = match[1].replace("/", ".").replace("(loose)", ""), match[2]
        order += [f"{room}{name}" for name in line.split()]
    return order


def imports(path: Path) -> set[str]:
    """The project's own modules that a file imports, in functions and for type checking too."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "minitrain":
            base = node.module.partition(".")[2]
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                is_module = inner in modules() or f"{inner}.__init__" in modules()
                imported.add(inner if is_module else base)
        elif isinstance(node, ast.Import):
            imported |= {a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "minitrain"}
    return imported - {""}


def upward_imports(name: str, imported: set[str]) -> list[str]:
    position = {module: i for i, module in enumerate(order())}

    def height(other: str) -> int:
        """A room's `__init__` stands where the last of its files does."""
        return max(i for module, i in position.items() if f"{module}.".startswith(f"{other}."))

    rooms = name.split(".")[0]
    return [
        f"{name} -> {other}"
        for other in sorted(imported)
        if height(other) >= height(name) or (rooms, other.split(".")[0]) in INDEPENDENT
    ]


def is_init(name: str) -> bool:
    return name.split(".")[-1] == "__init__"


def test_the_drawing_in_readme_has_every_module():
    assert sorted(order()) == sorted(name for name in modules() if not is_init(name))


def test_imports_point_one_way():
    upward = [a for name, path in modules().items() if not is_init(name) for a in upward_imports(name, imports(path))]
    assert upward == []


def test_few_loose_modules():
    loose = [name for name in modules() if "." not in name and name not in ("__init__", "__main__")]
    assert len(loose) <= MOST_LOOSE_MODULES


def test_every_room_says_what_it_is_for():
    for name, path in modules().items():
        if is_init(name) and name != "__init__":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


def test_an_upward_import_is_detected(tmp_path):
    path = tmp_path / "tensor.py"
    path.write_text("from minitrain.autograd.grad import gradients\nfrom minitrain.training import loop\n")
    assert imports(path) == {"autograd.grad", "training.loop"}
    assert len(upward_imports("autograd.tensor", imports(path))) == 2
    assert upward_imports("optim.rules", {"nn.layers"}) == ["optim.rules -> nn.layers"]


def test_the_autograd_core_needs_numpy_alone():
    allowed = {"numpy", "minitrain", "__future__"} | sys.stdlib_module_names
    for room in ("autograd", "compiler"):
        for path in (PACKAGE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                for name in names:
                    assert name.split(".")[0] in allowed, f"{path.name} imports {name}"
