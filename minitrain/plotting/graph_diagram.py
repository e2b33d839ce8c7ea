"""What a picture of a computation graph shows: nodes, edges and frames, found by walking back from a value."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.formula import formula
from minitrain.autograd.graph import enable_grad
from minitrain.autograd.tensor import FLOATS, Parameter, Tensor, apply
from minitrain.components.losses import Loss
from minitrain.nn.activation import FunctionLayer
from minitrain.nn.layers import Sequential
from minitrain.nn.module import Module
from minitrain.typing import Array

LARGEST = 40  # nodes of a picture that can still be read


LONGEST_FORMULA = 44  # characters


FEW = 4  # entries of an array that are written out


@dataclass(frozen=True, eq=False)
class Node:
    """A box: `parameter`, `constant`, `operation`, `layer`, `loss`, or `rest`, which stands for nodes left out.

    inputs: the values that it is computed from
    """

    kind: str
    title: str
    notes: tuple[str, ...] = ()
    inputs: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes, each after those it is computed from, and edges (from, to) by their numbers, as the values flow.

    values: the value of each node, None for `rest`
    count: how many nodes there are, with those left out
    """

    nodes: list[Node]
    edges: list[tuple[int, int]]
    values: list[Tensor | None]
    count: int


def graph_of(tensor: Tensor, parts: Mapping[int, Node] | None = None) -> Graph:
    """The graph of the expression behind a value; beyond `LARGEST` nodes, of those nearest to the value.

    parts: nodes that stand for a value and for what was computed on the way to it from their inputs, by its id

    >>> a, b = Parameter(3.0, "a"), Parameter(2.0, "b")
    >>> graph = graph_of(a * b + a)
    >>> [node.title for node in graph.nodes], graph.edges
    (['a', 'b', 'a * b', '[a * b + a]'], [(0, 2), (1, 2), (2, 3), (0, 3)])
    """
    parts = parts or {}

    def inputs(t: Tensor) -> tuple[Tensor, ...]:
        return parts[id(t)].inputs if id(t) in parts else t.inputs

    order = _computing_order(tensor, inputs)
    distance = {id(tensor): 0}
    for t in reversed(order):
        for i in inputs(t):
            distance[id(i)] = min(distance.get(id(i), len(order)), distance[id(t)] + 1)
    kept = {id(t) for t in sorted(order, key=lambda t: distance[id(t)])[:LARGEST]}

    nodes: list[Node] = []
    edges: list[tuple[int, int]] = []
    values: list[Tensor | None] = []
    at: dict[int, int] = {}
    for t in order:
        if id(t) not in kept:
            continue
        sources = [at[id(i)] for i in inputs(t) if id(i) in kept]
        if len(sources) < len(inputs(t)):
            nodes.append(Node("rest", "…"))
            values.append(None)
            sources.append(len(nodes) - 1)
        at[id(t)] = len(nodes)
        edges += [(source, len(nodes)) for source in sources]
        nodes.append(parts[id(t)] if id(t) in parts else _node(t))
        values.append(t)
    return Graph(nodes, edges, values, len(order))


def _computing_order(output: Tensor, inputs: Callable[[Tensor], tuple[Tensor, ...]]) -> list[Tensor]:
    """Every value that `output` was computed from, constants too, each after its inputs."""
    order: list[Tensor] = []
    seen = {id(output)}
    path = [(output, iter(inputs(output)))]
    while path:
        value, rest = path[-1]
        for t in rest:
            if id(t) not in seen:
                seen.add(id(t))
                path.append((t, iter(inputs(t))))
                break
        else:
            order.append(value)
            path.pop()
    return order


def _node(t: Tensor) -> Node:
    """A value as a box: its expression where that is short, its value, its gradient."""
    notes = [_value(t)]
    if t.primitive is None:
        kind = "parameter" if t.requires_grad or isinstance(t, Parameter) else "constant"
        if t.name is None and kind == "constant" and not t.ndim:
            return Node("constant", _written(t.numpy()))
        return Node(kind, t.name or kind, (*notes, *_gradient(t)))
    text = formula(t) if t.ndim == 0 else ""
    shown = t.primitive.formula != "{0}" and 0 < len(text) <= LONGEST_FORMULA and "array[" not in text
    title = t.name or (text if shown else t.primitive.name)
    named = () if t.name is None else (t.primitive.name,)
    return Node("operation", title, (*named, *notes, *_gradient(t)), t.inputs)


def _value(t: Tensor) -> str:
    return f"value {_written(t.numpy())}" if t.size <= FEW else f"{t.dtype} {list(t.shape)}"


def _gradient(t: Tensor) -> tuple[str, ...]:
    if t.grad is None:
        return ()
    return (f"grad {_written(t.grad)}" if t.size <= FEW else f"grad of length {np.linalg.norm(t.grad):.3g}",)


def _written(value: Array) -> str:
    text = np.array2string(value, separator=", ", formatter={"float_kind": "{:.6g}".format}, max_line_width=1000)
    return text.replace("\n", "")


# A network, layer by layer


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a module: `outer` counts the calls it was made in, and `inner` those made in it."""

    name: str
    module: Module
    x: Tensor
    result: Tensor
    outer: int
    inner: int


@dataclass(frozen=True)
class Frame:
    """A part of a network that is drawn around its nodes."""

    title: str
    members: frozenset[int]


def graph_of_network(
    model: Module, x: Any, loss: Callable[[Tensor, Any], Tensor] | None = None, target: Any = None
) -> tuple[Graph, list[Frame]]:
    """A network's graph with a node for each layer, and frames around what is made of layers, such as a Residual.

    A layer is a module without modules inside. Beyond `LARGEST` nodes, modules made of layers are one node each, the
    innermost first. What a module computes beside its layers is there operation by operation.

    >>> from minitrain import nn
    >>> net = nn.Sequential(nn.Linear(4, 8, rng=0), nn.Tanh(), nn.Linear(8, 2, rng=1))
    >>> graph, frames = graph_of_network(net, np.ones((5, 4)))
    >>> [node.title for node in graph.nodes]
    ['input', 'Linear 0', 'Tanh 1', 'Linear 2']
    >>> graph.nodes[1].notes
    ('weight [8, 4], bias [8]', '40 parameters', '→ [batch, 8]')
    """
    given = np.array(x)
    source = Tensor(given, requires_grad=given.dtype in FLOATS)  # so that all that is computed from it is recorded
    with enable_grad():
        output, calls = _run(model, source)
        end = output if loss is None else apply(P.identity, loss(output, target))
    batch = given.shape[:1]
    common = {id(source): Node("constant", "input", (_shape(source, batch),))}
    if loss is not None:
        aim = () if target is None else (Tensor(target),)
        common |= {id(t): Node("constant", "target", (_shape(t, batch),)) for t in aim}
        common[id(end)] = Node("loss", _name_of(loss), (_value(end),), (output, *aim))
    for depth in range(max(1, *(call.outer for call in calls)), 0, -1):
        shown = [call for call in calls if call.outer == depth or (call.outer < depth and not call.inner)]
        graph = graph_of(end, common | {id(call.result): _layer(call, batch) for call in shown})
        if graph.count <= LARGEST:
            break
    for i, (node, value) in enumerate(zip(graph.nodes, graph.values, strict=True)):
        if node.kind == "operation" and value is not None and value.size > FEW:
            graph.nodes[i] = replace(node, notes=(_shape(value, batch),))
    return graph, [] if graph.count > LARGEST else _frames(graph, [call for call in calls if call.outer < depth])


def _run(model: Module, x: Tensor) -> tuple[Tensor, list[_Call]]:
    """The output, and every call of a module on the way, the inner before the outer.

    A copy runs: the network keeps its running statistics, and its layers their own `forward`.
    """
    calls: list[_Call] = []
    outer = 0

    def watched(name: str, module: Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        nonlocal outer
        before = len(calls)
        outer += 1
        result = forward(x)
        outer -= 1
        inner = len(calls) - before
        if not inner:
            result = apply(P.identity, result)  # a value of its own, where a layer passes its input on
        calls.append(_Call(name, module, x, result, outer, inner))
        return result

    model = copy.deepcopy(model)
    for name, module in model.named_modules().items():
        vars(module)["forward"] = partial(watched, name, module, module.forward)
    return model(x), calls


def _layer(call: _Call, batch: tuple[int, ...]) -> Node:
    """A module as a box: its name, its options, its parameters, the shape of its output."""
    module = call.module
    parameters = module.named_parameters()
    notes = [count_of(module), f"→ {_shape(call.result, batch)}"]
    if not call.inner:
        shapes = [f"{name} {list(p.shape)}{'' if p.requires_grad else ' frozen'}" for name, p in parameters.items()]
        notes = [_options(module), ", ".join(shapes), *notes]
    return Node("layer", f"{kind_of(module)} {call.name}", tuple(filter(None, notes)), (call.x,))


def _options(module: Module) -> str:
    """Its attributes that are numbers or sizes."""
    words = []
    for name, value in vars(module).items():
        if isinstance(value, tuple) and all(isinstance(size, int) for size in value):
            words.append(f"{name} {list(value)}")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            words.append(f"{name} {value}")
    return ", ".join(words)


def kind_of(module: Module) -> str:
    """The name of its class, or of the function that it is."""
    return _name_of(module.function) if isinstance(module, FunctionLayer) else type(module).__name__


def _name_of(function: Any) -> str:
    if isinstance(function, Loss):
        function = function.function
    if isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def count_of(module: Module) -> str:
    """How many parameters it has, in words; nothing where there is none."""
    count = sum(p.size for p in module.parameters())
    return f"{count:,} parameter{'s' if count > 1 else ''}" if count else ""


def _shape(t: Tensor, batch: tuple[int, ...]) -> str:
    sizes = ["batch", *t.shape[1:]] if t.shape[:1] == batch and batch else t.shape
    return f"[{', '.join(map(str, sizes))}]"


def _frames(graph: Graph, calls: Sequence[_Call]) -> list[Frame]:
    """What is drawn around nodes: calls made of layers, but for the whole network and for a plain row of layers."""
    sources: dict[int, set[int]] = {}
    for i in range(len(graph.nodes)):
        sources[i] = {i}.union(*(sources[start] for start, end in graph.edges if end == i))
    at = {id(value): i for i, value in enumerate(graph.values)}
    return [
        Frame(f"{kind_of(c.module)} {c.name}", frozenset(sources[at[id(c.result)]] - sources[at[id(c.x)]]))
        for c in calls
        if c.inner and c.outer and not isinstance(c.module, Sequential) and {id(c.x), id(c.result)} <= at.keys()
    ]
