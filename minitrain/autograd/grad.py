"""Derivatives as functions: `grad`, `value_and_grad`, `gradients`, `hvp`, `jacobian`, `hessian`; and `check_grads`.

Their results are Tensors with a graph, so they can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.graph import enable_grad, flow_back, no_grad, recording, topological_order
from minitrain.autograd.tensor import FLOATS, Tensor, TensorLike, apply, to_tensor
from minitrain.typing import Array

Function = Callable[..., Tensor]


def gradients(output: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a scalar with respect to each input.

    Args:
        output: A scalar.
        inputs: Leaves or intermediate values of its graph.

    Returns:
        One Tensor per input, of the input's shape; zeros if the output does not depend on it.

    Raises:
        ValueError: The output is not a scalar.

    >>> w = Tensor(3.0, requires_grad=True)
    >>> gradients(w * w, [w])[0].item()
    6.0
    """
    if output.size != 1:
        raise ValueError(f"gradients: expected a scalar, got shape {list(output.shape)}; reduce it (.sum(), .mean())")
    input_ids = {id(t) for t in inputs}
    order = topological_order(output)
    dependent = set(input_ids)  # values that depend on an input: gradients flow through no others
    for node in reversed(order):
        if not dependent.isdisjoint(map(id, node.inputs)):
            dependent.add(id(node))
    results: dict[int, Tensor] = {}
    if id(output) in dependent:
        seed = Tensor(np.ones(output.shape, output.dtype))
        with np.errstate(all="ignore"):  # 0 * inf is nan, without a warning
            results = {id(node): g for node, g in flow_back(order, seed, dependent) if id(node) in input_ids}
    return [results[id(t)] if id(t) in results else Tensor(np.zeros(t.shape, t.dtype)) for t in inputs]


@overload
def value_and_grad(fn: Function, argnums: int = 0) -> Callable[..., tuple[Tensor, Tensor]]: ...
@overload
def value_and_grad(fn: Function, argnums: Sequence[int]) -> Callable[..., tuple[Tensor, list[Tensor]]]: ...
def value_and_grad(
    fn: Function, argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Tensor, Tensor | list[Tensor]]]:
    """A function that returns the value of a scalar function and its gradient.

    Args:
        fn: A function that returns a scalar Tensor.
        argnums: The position of the argument to differentiate with respect to, or several positions.

    Returns:
        A function of the arguments of fn. Its gradient is a Tensor of the argument's shape for one position, a list of
        Tensors for several.

    >>> value, g = value_and_grad(lambda x: x**3)(2.0)
    >>> value.item(), g.item()
    (8.0, 12.0)
    """

    def differentiated(*args: TensorLike, **kwargs: Any) -> tuple[Tensor, Tensor | list[Tensor]]:
        value, inputs = _evaluate("grad", fn, argnums, args, kwargs)
        results = gradients(value, inputs)
        return value if recording.on else value.detach(), results[0] if isinstance(argnums, int) else results

    return differentiated


def _evaluate(
    what: str, fn: Function, argnums: int | Sequence[int], args: Sequence[TensorLike], kwargs: dict[str, Any]
) -> tuple[Tensor, list[Tensor]]:
    """The value of fn, and the arguments to differentiate with respect to, each as a separate node.

    The graph is recorded inside no_grad() too; a no_grad() inside fn is respected.
    """
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    if not all(-len(args) <= i < len(args) for i in numbers):
        raise ValueError(f"{what}: argnums {numbers} given for {len(args)} arguments; positions start at 0")
    arguments = list(args)
    with enable_grad():
        nodes = {i: _as_node(args[i]) for i in numbers}
        for i, node in nodes.items():
            arguments[i] = node
        value = fn(*arguments, **kwargs)
    if not isinstance(value, Tensor):
        raise TypeError(f"{what}: the function returned a {type(value).__name__}, expected a Tensor")
    return value, [nodes[i] for i in numbers]


def _as_node(x: TensorLike) -> Tensor:
    """A separate node to differentiate at, which still depends on x for derivatives of higher order."""
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        return Tensor(x, requires_grad=True)
    node = apply(P.identity, x)
    node.requires_grad = True
    return node


@overload
def grad(fn: Function, argnums: int = 0) -> Callable[..., Tensor]: ...
@overload
def grad(fn: Function, argnums: Sequence[int]) -> Callable[..., list[Tensor]]: ...
def grad(fn: Function, argnums: int | Sequence[int] = 0) -> Callable[..., Tensor | list[Tensor]]:
    """A function that returns the gradient of a scalar function; apply `grad` again for higher orders.

    Args:
        fn: A function that returns a scalar Tensor; otherwise the returned function raises ValueError.
        argnums: The position of the argument to differentiate with respect to, or several positions.

    Returns:
        A function of the arguments of fn. It returns a Tensor of the argument's shape for one position, a list of
        Tensors for several; zeros where the result does not depend on an argument.

    >>> grad(grad(lambda x: x**3))(2.0).item()
    12.0
    """
    both: Callable[..., tuple[Tensor, Tensor | list[Tensor]]] = value_and_grad(fn, argnums)

    def gradient(*args: TensorLike, **kwargs: Any) -> Tensor | list[Tensor]:
        return both(*args, **kwargs)[1]

    return gradient


def hvp(fn: Function, x: Any, v: Any) -> Any:
    """The Hessian-vector product H v of a scalar function.

    It is the gradient of grad(fn)(x) · v: it takes two or three times as long as a gradient, and H is never computed.

    Args:
        fn: A function that returns a scalar Tensor.
        x: The point; a list or tuple for several arguments of fn, over all of which H extends.
        v: The vector, of the shape of x; a list if x is one.

    Returns:
        A Tensor of the shape of x; a list if x is one.

    Raises:
        ValueError: fn does not return a scalar, or the shapes of v and x differ.

    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 10.0])).numpy()
    array([  6., 120.])
    >>> [part.item() for part in hvp(lambda x, y: x * y, [3.0, 5.0], [1.0, 0.0])]
    [0.0, 1.0]
    """
    several = isinstance(x, (list, tuple))
    points, vectors = ([*x], [*v]) if several else ([x], [v])
    shapes, expected = ([list(to_tensor(t).shape) for t in tensors] for tensors in (vectors, points))
    if shapes != expected:
        raise ValueError(
            f"hvp: v of shapes {shapes}, x of shapes {expected}: expected equal shapes; a list x is several arguments, "
            "so pass a single point as an array"
        )
    numbers = range(len(points))

    def slope_along_v(*args: Tensor) -> Tensor:
        slopes = grad(fn, numbers)(*args)
        return sum((g * u).sum() for g, u in zip(slopes, vectors, strict=True))

    products = grad(slope_along_v, numbers)(*points)
    return products if several else products[0]


@overload
def jacobian(fn: Function, argnums: int = 0) -> Callable[..., Tensor]: ...
@overload
def jacobian(fn: Function, argnums: Sequence[int]) -> Callable[..., list[Tensor]]: ...
def jacobian(fn: Function, argnums: int | Sequence[int] = 0) -> Callable[..., Tensor | list[Tensor]]:
    """A function that returns the Jacobian: result [*m], argument [*n] -> [*m, *n], d result[i] / d argument[j].

    It takes one backward pass per entry of the result.

    Args:
        fn: A function that returns a Tensor.
        argnums: The position of the argument to differentiate with respect to, or several positions.

    Returns:
        A function of the arguments of fn. It returns a Tensor for one position, a list of Tensors for several.

    >>> jacobian(lambda x: x**2)([1.0, 2.0]).numpy()
    array([[2., 0.],
           [0., 4.]])
    """

    def jacobians(*args: TensorLike, **kwargs: Any) -> Tensor | list[Tensor]:
        value, inputs = _evaluate("jacobian", fn, argnums, args, kwargs)
        with enable_grad():
            entries = [value.reshape(-1)[i] for i in range(value.size)]
        rows = [gradients(entry, inputs) for entry in entries]
        results = []
        for k, x in enumerate(inputs):
            empty = Tensor(np.empty((0, x.size), x.dtype))  # for a result without entries
            stacked = concatenate([empty, *(row[k].reshape(1, -1) for row in rows)])
            results.append(stacked.reshape(value.shape + x.shape))
        return results[0] if isinstance(argnums, int) else results

    return jacobians


def hessian(fn: Function) -> Callable[..., Tensor]:
    """A function that returns the Hessian of a scalar function in its first argument: x [*n] -> [*n, *n].

    It takes one backward pass per entry of x; if only products with the Hessian are needed, `hvp` takes one in total.

    Args:
        fn: A function that returns a scalar Tensor; otherwise the returned function raises ValueError.

    >>> hessian(lambda x: x[0] ** 2 * x[1])([3.0, 5.0]).numpy()
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacobian(grad(fn))


def check_grads(fn: Function, *args: TensorLike, order: int = 2, rtol: float = 1e-5, atol: float = 1e-7) -> None:
    """Compare the derivatives of a function with central differences, entry by entry.

    A central difference with a step of 1e-5 is accurate to about 1e-10 for a well-scaled function, so a derivative that
    is wrong by 0.1% is detected.

    Args:
        fn: A function that returns a Tensor of any shape.
        args: float64 arrays or numbers of any shape, at which fn is differentiable.
        order: The highest order of derivatives to check.
        rtol: The relative tolerance.
        atol: The absolute tolerance.

    Raises:
        AssertionError: A derivative is wrong; names the argument, the entry and both numbers.

    >>> check_grads(lambda x: x.tanh(), 0.3)
    >>> check_grads(lambda x: x.abs(), [1.0, -2.0], order=1)
    """
    points = [np.array(a.numpy() if isinstance(a, Tensor) else a, np.float64) for a in args]
    numbers = range(len(points))
    rng = np.random.default_rng(0)
    with no_grad():
        weights = rng.uniform(0.5, 1.5, fn(*map(Tensor, points)).shape)

    def scalar(*tensors: Tensor) -> Tensor:
        return (fn(*tensors) * weights).sum()

    derivative = grad(scalar, argnums=tuple(numbers))
    for i, exact in enumerate(derivative(*points)):
        if exact.shape != points[i].shape:
            raise AssertionError(
                f"check_grads: argument {i} has shape {list(points[i].shape)}, its derivative {list(exact.shape)}"
            )
        estimate = _central_difference(scalar, points, i)
        is_wrong = ~np.isclose(exact.numpy(), estimate, rtol, atol)
        if is_wrong.any():
            at = tuple(int(k) for k in np.argwhere(is_wrong)[0])
            raise AssertionError(
                f"check_grads: argument {i}, entry {list(at)}: the derivative is {exact.numpy()[at]:.12g}, "
                f"central differences give {estimate[at]:.12g}"
            )
    if order > 1:
        for i in numbers:
            check_grads(lambda *t, i=i: derivative(*t)[i], *points, order=order - 1, rtol=rtol, atol=atol)


def _central_difference(fn: Function, points: list[Array], i: int, step: float = 1e-5) -> Array:
    """(f(x + h) - f(x - h)) / 2h for every entry of argument i."""
    estimate = np.zeros_like(points[i])
    for at in np.ndindex(points[i].shape):
        ends = []
        for h in (step, -step):
            moved = [p.copy() for p in points]
            moved[i][at] += h
            ends.append((moved[i][at], fn(*map(Tensor, moved)).item()))
        (above, high), (below, low) = ends
        estimate[at] = (high - low) / (above - below)
    return estimate
