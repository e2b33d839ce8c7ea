"""A file imports only from lower floors, or from files above it in its own room."""

import ast
import re
from functools import cache
from pathlib import Path

import minitrain

PACKAGE = Path(minitrain.__file__).parent

# The house from the ground up: a module may import any that stands on an earlier line, or to its left.
FLOORS = [
    ["autograd.primitives", "autograd.special", "autograd.windows", "autograd.formula", "autograd.graph",
     "autograd.shapes", "autograd.tensor",
     "autograd.functional.elementwise", "autograd.functional.activations", "autograd.functional.arrays",
     "autograd.functional.reductions", "autograd.functional.normalization", "autograd.functional.convolution",
     "autograd.functional.losses", "autograd.grad", "autograd.flat",
     "autograd.symbols", "autograd.tape", "autograd.trace", "autograd.passes", "autograd.plan", "autograd.cost",
     "autograd.engine"],
    ["streams", "config", "data.dataset", "data.reading", "data.bundled", "data.generated", "data.files",
     "data.inputs", "record"],
    ["nn.module", "nn.activation", "nn.init", "nn.layers", "nn.normalization", "nn.convolution",
     "nn.networks", "nn.sequence", "nn.losses",
     "optim.rules", "optim.gradient", "optim.optimizers", "schedule", "diagnostics",
     "figure", "plot", "diagnostics_plot", "diagram", "layout", "drawing", "progress"],
    ["step", "tapes", "compiled", "problem", "run", "train"],
    ["model", "model_figures", "model_plots", "sweep.stacks", "sweep.board", "sweep.training", "sweep.progress",
     "compare.results", "compare.comparison", "compare.curves_plot", "compare.values_plot", "compare.table",
     "compare.report", "compare.command", "listing"],
    ["job", "predict", "export", "resume", "multirun", "grid", "composer", "start", "launcher", "__main__"],
]  # fmt: skip
APART = {("nn", "optim"), ("optim", "nn"), ("plot", "train"), ("compare", "train")}
# Rooms' front doors and the package's name only list what is inside.
DOORS = {
    f"{room}__init__"
    for room in ("", "autograd.", "autograd.functional.", "data.", "nn.", "optim.", "sweep.", "compare.")
}


@cache
def modules() -> dict[str, Path]:
    return {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}


def imports(path: Path) -> set[str]:
    """The project's own modules that a file imports when it runs: not those for type checking alone."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "minitrain":
            base = node.module.partition(".")[2]
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                is_module = inner in modules() or f"{inner}.__init__" in modules()
                found.add(inner if is_module else base)
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "minitrain"}
    return found - {""}


def upward_arrows(name: str, imported: set[str]) -> list[str]:
    order = [module for floor in FLOORS for module in floor]
    wrong = []

    def height(other: str) -> int:
        """A room's front door stands where the last of its files does."""
        return max(i for i, module in enumerate(order) if f"{module}.".startswith(f"{other}."))

    for other in imported:
        rooms = (name.split(".")[0], other.split(".")[0])
        if height(other) >= height(name) or rooms in APART:
            wrong.append(f"{name} -> {other}")
    return wrong


def test_every_module_has_its_floor():
    assert sorted(modules().keys() - DOORS) == sorted(module for floor in FLOORS for module in floor)


def test_no_import_goes_upward():
    arrows = [a for name, path in modules().items() if name not in DOORS for a in upward_arrows(name, imports(path))]
    assert arrows == []


def drawn_floors() -> dict[int, list[str]]:
    """The modules that README's drawing has on each floor: of a room, those that it lists."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    floors: dict[int, list[str]] = {}
    rooms: dict[str, list[str]] = {}
    for line in readme.splitlines():
        if found := re.match(r" floor (\d)   (.*)", line):
            floor = int(found[1])
            floors[floor] = found[2].split()
            inside = next((name for name in floors[floor] if name == "autograd/"), "")
        elif found := re.match(r" +[├└] (.*)", line):
            names = found[1].split()
            room = names.pop(0) if names[0] in floors[floor] else inside
            rooms.setdefault(room, []).extend(names)
    return {
        floor: [f"{name.strip('/')}.{inner}" for name in names for inner in rooms.get(name, [])]
        + [name for name in names if name not in rooms]
        for floor, names in floors.items()
    }


def test_the_drawing_in_readme_has_every_module_on_its_floor():
    autograd, rest, *above = FLOORS
    floors = [autograd + rest, *above]
    assert sorted(drawn_floors()) == list(range(len(floors)))
    for floor, drawn in drawn_floors().items():
        closed = {name.strip("/") for name in drawn if name.endswith("/")}  # rooms whose files are not drawn
        there = {next((room for room in closed if f"{m}.".startswith(f"{room}.")), m) for m in floors[floor]}
        assert there == {name.strip("/") for name in drawn}, f"floor {floor}"


def test_an_upward_import_would_be_found(tmp_path):
    path = tmp_path / "tensor.py"
    path.write_text("from minitrain.autograd.grad import gradients\nfrom minitrain import train\n")
    assert imports(path) == {"autograd.grad", "train"}
    assert len(upward_arrows("autograd.tensor", imports(path))) == 2
    assert upward_arrows("optim", {"nn.layers"}) == ["optim -> nn.layers"]


def test_the_autograd_core_needs_numpy_alone():
    allowed = {"numpy", "minitrain", "__future__"}
    standard = __import__("sys").stdlib_module_names
    for path in (PACKAGE / "autograd").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                assert name.split(".")[0] in allowed | standard, f"{path.name} imports {name}"
