"""Diagrams of computation graphs: nodes, edges and frames, collected by walking back from a value."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minitrain.autograd import primitives as P
from minitrain.autograd.formula import formula
from minitrain.autograd.graph import enable_grad
from minitrain.autograd.tensor import FLOATS, Parameter, Tensor, apply
from minitrain.components.losses import Loss
from minitrain.data import RowsOnDisk
from minitrain.errors import plural
from minitrain.nn.activation import FunctionLayer
from minitrain.nn.layers import Sequential
from minitrain.nn.module import Module
from minitrain.typing import Array

MOST_NODES = 40  # that are legible in one figure
LONGEST_FORMULA = 44  # characters
MOST_ENTRIES = 4  # of an array that is written out


@dataclass(frozen=True, eq=False)
class Node:
    """A box of a diagram.

    Attributes:
        kind: `parameter`, `constant`, `operation`, `layer`, `loss`, or `omitted`, which stands for omitted nodes.
        title: The first line.
        notes: The other lines.
        inputs: The values that the node is computed from.
    """

    kind: str
    title: str
    notes: tuple[str, ...] = ()
    inputs: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, and edges.

    Attributes:
        nodes: The nodes, each after its inputs.
        edges: Pairs of node numbers: from an input to the node that is computed from it.
        values: The value of each node; None for `omitted`.
        count: The number of nodes, omitted nodes included.
    """

    nodes: list[Node]
    edges: list[tuple[int, int]]
    values: list[Tensor | None]
    count: int


def graph_of(tensor: Tensor, nodes_of: Mapping[int, Node] | None = None) -> Graph:
    """The graph of the expression that computes a value.

    Args:
        tensor: The value.
        nodes_of: Nodes by the id of their value; such a node also stands for all operations between its inputs and
            its value.

    Returns:
        The graph; of more than `MOST_NODES` nodes, only those nearest to the value.

    >>> a, b = Parameter(3.0, "a"), Parameter(2.0, "b")
    >>> graph = graph_of(a * b + a)
    >>> [node.title for node in graph.nodes], graph.edges
    (['a', 'b', 'a * b', '[a * b + a]'], [(0, 2), (1, 2), (2, 3), (0, 3)])
    """
    replacements = nodes_of or {}

    def inputs(t: Tensor) -> tuple[Tensor, ...]:
        return replacements[id(t)].inputs if id(t) in replacements else t.inputs

    order = _topological_order(tensor, inputs)
    nearest = _nearest(order, inputs)
    nodes: list[Node] = []
    edges: list[tuple[int, int]] = []
    values: list[Tensor | None] = []
    number_of: dict[int, int] = {}
    for t in order:
        if id(t) not in nearest:
            continue
        sources = [number_of[id(i)] for i in inputs(t) if id(i) in nearest]
        if len(sources) < len(inputs(t)):
            nodes.append(Node("omitted", "…"))
            values.append(None)
            sources.append(len(nodes) - 1)
        number_of[id(t)] = len(nodes)
        edges += [(source, len(nodes)) for source in sources]
        nodes.append(replacements[id(t)] if id(t) in replacements else _node(t))
        values.append(t)
    return Graph(nodes, edges, values, len(order))


def _topological_order(output: Tensor, inputs: Callable[[Tensor], tuple[Tensor, ...]]) -> list[Tensor]:
    """All values that `output` is computed from, constants included, each after its inputs."""
    order: list[Tensor] = []
    visited = {id(output)}
    path = [(output, iter(inputs(output)))]
    while path:
        value, remaining = path[-1]
        for t in remaining:
            if id(t) not in visited:
                visited.add(id(t))
                path.append((t, iter(inputs(t))))
                break
        else:
            order.append(value)
            path.pop()
    return order


def _nearest(order: Sequence[Tensor], inputs: Callable[[Tensor], tuple[Tensor, ...]]) -> set[int]:
    """The ids of the `MOST_NODES` values that are nearest to the last one, by the number of edges."""
    distance = {id(order[-1]): 0}
    for t in reversed(order):
        for i in inputs(t):
            distance[id(i)] = min(distance.get(id(i), len(order)), distance[id(t)] + 1)
    return {id(t) for t in sorted(order, key=lambda t: distance[id(t)])[:MOST_NODES]}


def _node(t: Tensor) -> Node:
    """The node of a value: its expression if that is short, its value and its gradient."""
    notes = [_value(t)]
    if t.primitive is None:
        kind = "parameter" if t.requires_grad or isinstance(t, Parameter) else "constant"
        if t.name is None and kind == "constant" and not t.ndim:
            return Node("constant", _format(t.numpy()))
        return Node(kind, t.name or kind, (*notes, *_gradient(t)))
    operation = () if t.name is None else (t.primitive.name,)
    title = t.name or _short_formula(t) or t.primitive.name
    return Node("operation", title, (*operation, *notes, *_gradient(t)), t.inputs)


def _short_formula(t: Tensor) -> str:
    """The formula of a scalar; empty if it is long or trivial."""
    text = formula(t) if t.ndim == 0 else ""
    is_trivial = t.primitive is None or t.primitive.formula == "{0}" or "array[" in text
    return "" if is_trivial or len(text) > LONGEST_FORMULA else text


def _value(t: Tensor) -> str:
    return f"value {_format(t.numpy())}" if t.size <= MOST_ENTRIES else f"{t.dtype} {list(t.shape)}"


def _gradient(t: Tensor) -> tuple[str, ...]:
    if t.grad is None:
        return ()
    return (f"grad {_format(t.grad)}" if t.size <= MOST_ENTRIES else f"gradient norm {np.linalg.norm(t.grad):.3g}",)


def _format(value: Array) -> str:
    text = np.array2string(value, separator=", ", formatter={"float_kind": "{:.6g}".format}, max_line_width=1000)
    return text.replace("\n", "")


# A network, layer by layer


@dataclass(frozen=True, eq=False)
class _Call:
    """A call of a module.

    Attributes:
        name: The name of the module within the network.
        module: The module.
        x: Its input.
        result: Its output.
        depth: The number of calls that this call is nested in.
        nested: The number of calls that are nested in this call.
    """

    name: str
    module: Module
    x: Tensor
    result: Tensor
    depth: int
    nested: int


@dataclass(frozen=True)
class Frame:
    """A frame around the nodes of a module.

    Attributes:
        title: The name of the module.
        members: The numbers of the nodes.
    """

    title: str
    members: frozenset[int]


def graph_of_network(
    model: Module, x: ArrayLike | RowsOnDisk, loss: Callable[[Tensor, Any], Tensor] | None = None, target: Any = None
) -> tuple[Graph, list[Frame]]:
    """The graph of a network with one node for each layer, and frames around modules that contain layers.

    A layer is a module that calls no other module. Operations outside of layers have nodes of their own. If there are
    more than `MOST_NODES` nodes, modules that contain layers become one node each, the innermost first.

    Args:
        model: The network.
        x: An example input: [batch, ...]
        loss: A function of output and target; if given, its value is the last node.
        target: The target that the loss compares the output with.

    >>> from minitrain import nn
    >>> net = nn.Sequential(nn.Linear(4, 8, rng=0), nn.Tanh(), nn.Linear(8, 2, rng=1))
    >>> graph, frames = graph_of_network(net, np.ones((5, 4)))
    >>> [node.title for node in graph.nodes]
    ['input', 'Linear 0', 'Tanh 1', 'Linear 2']
    >>> graph.nodes[1].notes
    ('weight [8, 4], bias [8]', '40 parameters', '→ [batch, 8]')
    """
    inputs = np.array(x)
    batch = inputs.shape[:1]
    source = Tensor(inputs, requires_grad=inputs.dtype in FLOATS)  # so that everything computed from it is recorded
    with enable_grad():
        output, calls = _record_calls(model, source)
        end = output if loss is None else apply(P.identity, loss(output, target))
    ends = {id(source): Node("constant", "input", (_shape(source, batch),))}
    if loss is not None:
        ends |= _loss_nodes(loss, output, end, target, batch)
    graph, depth = _collapsed_graph(end, ends, calls, batch)
    _show_shapes(graph, batch)
    is_complete = graph.count <= MOST_NODES
    return graph, _frames(graph, [call for call in calls if call.depth < depth]) if is_complete else []


def _record_calls(model: Module, x: Tensor) -> tuple[Tensor, list[_Call]]:
    """Run a copy of the network, so that its running statistics and its modules remain unchanged.

    Returns:
        The output, and every call of a module, nested calls before the call that they are nested in.
    """
    calls: list[_Call] = []
    depth = 0

    def record(name: str, module: Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        nonlocal depth
        count = len(calls)
        depth += 1
        result = forward(x)
        depth -= 1
        nested = len(calls) - count
        if not nested:
            result = apply(P.identity, result)  # a distinct value, even if a layer returns its input
        calls.append(_Call(name, module, x, result, depth, nested))
        return result

    model = copy.deepcopy(model)
    for name, module in model.named_modules().items():
        vars(module)["forward"] = partial(record, name, module, module.forward)
    return model(x), calls


def _loss_nodes(
    loss: Callable[[Tensor, Any], Tensor], output: Tensor, end: Tensor, target: Any, batch: tuple[int, ...]
) -> dict[int, Node]:
    """The nodes of the target, if there is one, and of the loss."""
    targets = () if target is None else (Tensor(target),)
    nodes = {id(t): Node("constant", "target", (_shape(t, batch),)) for t in targets}
    return nodes | {id(end): Node("loss", _name_of(loss), (_value(end),), (output, *targets))}


def _collapsed_graph(
    end: Tensor, ends: Mapping[int, Node], calls: Sequence[_Call], batch: tuple[int, ...]
) -> tuple[Graph, int]:
    """The graph with a node for each layer, or with fewer nodes if there are too many.

    Returns:
        The graph, and the depth of calls down to which modules are expanded.
    """
    deepest = max(1, *(call.depth for call in calls))
    for depth in range(deepest, 0, -1):
        boxes = [call for call in calls if call.depth == depth or (call.depth < depth and not call.nested)]
        graph = graph_of(end, {**ends, **{id(call.result): _layer_node(call, batch) for call in boxes}})
        if graph.count <= MOST_NODES:
            break
    return graph, depth


def _show_shapes(graph: Graph, batch: tuple[int, ...]) -> None:
    """Replace the notes of operations on larger arrays by the shape of the result."""
    for i, (node, value) in enumerate(zip(graph.nodes, graph.values, strict=True)):
        if node.kind == "operation" and value is not None and value.size > MOST_ENTRIES:
            graph.nodes[i] = replace(node, notes=(_shape(value, batch),))


def _layer_node(call: _Call, batch: tuple[int, ...]) -> Node:
    """The node of a module: its name, options, parameters, and the shape of its output."""
    module = call.module
    parameters = module.named_parameters()
    notes = [count_of(module), f"→ {_shape(call.result, batch)}"]
    if not call.nested:
        shapes = [f"{name} {list(p.shape)}{'' if p.requires_grad else ' frozen'}" for name, p in parameters.items()]
        notes = [_options(module), ", ".join(shapes), *notes]
    return Node("layer", f"{kind_of(module)} {call.name}", tuple(filter(None, notes)), (call.x,))


def _options(module: Module) -> str:
    """The attributes of a module that are numbers or sizes."""
    options = []
    for name, value in vars(module).items():
        if isinstance(value, tuple) and all(isinstance(size, int) for size in value):
            options.append(f"{name} {list(value)}")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            options.append(f"{name} {value}")
    return ", ".join(options)


def kind_of(module: Module) -> str:
    """The name of a module's class, or of the function that it applies."""
    return _name_of(module.function) if isinstance(module, FunctionLayer) else type(module).__name__


def _name_of(function: Callable[..., Any]) -> str:
    if isinstance(function, Loss):
        function = function.function
    if isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def count_of(module: Module) -> str:
    """The number of a module's parameters as text; empty if it has none."""
    count = sum(p.size for p in module.parameters())
    return plural(count, "parameter") if count else ""


def _shape(t: Tensor, batch: tuple[int, ...]) -> str:
    sizes = ["batch", *t.shape[1:]] if t.shape[:1] == batch and batch else t.shape
    return f"[{', '.join(map(str, sizes))}]"


def _frames(graph: Graph, calls: Sequence[_Call]) -> list[Frame]:
    """Frames around the nodes of calls that contain layers, except for the whole network and Sequential modules."""
    number_of = {id(value): i for i, value in enumerate(graph.values)}
    sources = _sources(graph)
    frames = []
    for call in calls:
        has_frame = call.nested and call.depth and not isinstance(call.module, Sequential)
        if has_frame and {id(call.x), id(call.result)} <= number_of.keys():
            members = sources[number_of[id(call.result)]] - sources[number_of[id(call.x)]]
            frames.append(Frame(f"{kind_of(call.module)} {call.name}", frozenset(members)))
    return frames


def _sources(graph: Graph) -> list[set[int]]:
    """For each node, itself and all nodes that it is computed from."""
    sources: list[set[int]] = []
    for i in range(len(graph.nodes)):
        sources.append({i}.union(*(sources[start] for start, end in graph.edges if end == i)))
    return sources
