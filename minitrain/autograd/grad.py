"""Derivatives as functions: `grad`, `value_and_grad`, `gradients`, `hvp`, `jacobian`, `hessian`, and their check.

What these give are Tensors with a graph of their own, so they can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minitrain.autograd import primitives as P
from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.graph import enable_grad, flow_back, no_grad, recording, topological_order
from minitrain.autograd.tensor import FLOATS, Tensor, apply, to_tensor
from minitrain.typing import Array

Function = Callable[..., Tensor]


def gradients(output: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of a scalar with respect to each input, of the input's shape; zeros where it does not depend on it.

    Raises ValueError for an output that is not a scalar.

    >>> w = Tensor(3.0, requires_grad=True)
    >>> gradients(w * w, [w])[0].item()
    6.0
    """
    if output.size != 1:
        raise ValueError(f"gradients: expected a scalar, got shape {list(output.shape)}; reduce it (.sum(), .mean())")
    asked = {id(t) for t in inputs}
    order = topological_order(output)
    leading_there = set(asked)
    for node in reversed(order):
        if not leading_there.isdisjoint(map(id, node.inputs)):
            leading_there.add(id(node))
    found: dict[int, Tensor] = {}
    if id(output) in leading_there:
        seed = Tensor(np.ones(output.shape, output.dtype))
        with np.errstate(all="ignore"):  # 0 * inf is nan, without a warning
            found = {id(node): g for node, g in flow_back(order, seed, leading_there) if id(node) in asked}
    return [found[id(t)] if id(t) in found else Tensor(np.zeros(t.shape, t.dtype)) for t in inputs]


def value_and_grad(fn: Function, argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Tensor, Any]]:
    """A function that gives fn's scalar and its gradient with respect to the arguments numbered.

    The gradient is a Tensor of the argument's shape for one number, a list of them for several.

    >>> value, g = value_and_grad(lambda x: x**3)(2.0)
    >>> value.item(), g.item()
    (8.0, 12.0)
    """

    def differentiated(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        value, inputs = _evaluate("grad", fn, argnums, args, kwargs)
        found = gradients(value, inputs)
        return value if recording.on else value.detach(), found[0] if isinstance(argnums, int) else found

    return differentiated


def _evaluate(
    what: str, fn: Function, argnums: int | Sequence[int], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Tensor, list[Tensor]]:
    """Fn's value, and the arguments numbered that it was computed from, each a node of its own.

    It is recorded inside no_grad() too; a no_grad() inside fn holds.
    """
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    if not all(-len(args) <= i < len(args) for i in numbers):
        raise ValueError(f"{what}: argnums {numbers} given for {len(args)} arguments; they count from 0")
    arguments = list(args)
    with enable_grad():
        for i in numbers:
            arguments[i] = _own_node(args[i])
        value = fn(*arguments, **kwargs)
    if not isinstance(value, Tensor):
        raise TypeError(f"{what}: the function gave a {type(value).__name__}, expected a Tensor")
    return value, [arguments[i] for i in numbers]


def _own_node(x: Any) -> Tensor:
    """A node of its own to differentiate at, that still leads back to x for the next order."""
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        return Tensor(x, requires_grad=True)
    node = apply(P.identity, x)
    node.requires_grad = True
    return node


def grad(fn: Function, argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the gradient of fn's scalar result; apply it again for the next order.

    A parameter that the result does not depend on has gradient zero.
    Raises ValueError where fn gives more than one number.

    >>> grad(grad(lambda x: x**3))(2.0).item()
    12.0
    """
    both = value_and_grad(fn, argnums)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def hvp(fn: Function, x: Any, v: Any) -> Any:
    """The product H v of the Hessian of fn's scalar at x with a vector v of x's shape, of that shape.

    It is the gradient of grad(fn)(x) · v: two or three times the time of a gradient, and H is never there.
    A list or tuple x is several arguments of fn, and H goes over all of them; v and the result are lists too.
    Raises ValueError where fn gives more than one number, and where v is shaped otherwise than x.

    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 10.0])).numpy()
    array([  6., 120.])
    >>> [part.item() for part in hvp(lambda x, y: x * y, [3.0, 5.0], [1.0, 0.0])]
    [0.0, 1.0]
    """
    several = isinstance(x, (list, tuple))
    points, vectors = ([*x], [*v]) if several else ([x], [v])
    given, expected = ([list(to_tensor(u).shape) for u in each] for each in (vectors, points))
    if given != expected:
        raise ValueError(
            f"hvp: v of shapes {given}, x of shapes {expected}: expected equal shapes; a list x is several arguments, "
            "so give a single point as an array"
        )
    numbers = range(len(points))

    def slope_along_v(*args: Tensor) -> Tensor:
        slopes = grad(fn, numbers)(*args)
        return sum((g * u).sum() for g, u in zip(slopes, vectors, strict=True))

    found = grad(slope_along_v, numbers)(*points)
    return found if several else found[0]


def jacobian(fn: Function, argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives fn's Jacobian: out [*m], argument [*n] -> [*m, *n], d out[i] / d argument[j] at [i, j].

    A Tensor for one argument number, a list of them for several. It takes one walk back for each entry of fn's result.

    >>> jacobian(lambda x: x**2)([1.0, 2.0]).numpy()
    array([[2., 0.],
           [0., 4.]])
    """

    def jacobians(*args: Any, **kwargs: Any) -> Any:
        value, inputs = _evaluate("jacobian", fn, argnums, args, kwargs)
        with enable_grad():
            entries = [value.reshape(-1)[i] for i in range(value.size)]
        rows = [gradients(entry, inputs) for entry in entries]
        found = []
        for k, x in enumerate(inputs):
            none = Tensor(np.empty((0, x.size), x.dtype))  # where fn's result has no entry
            stacked = concatenate([none, *(row[k].reshape(1, -1) for row in rows)])
            found.append(stacked.reshape(value.shape + x.shape))
        return found[0] if isinstance(argnums, int) else found

    return jacobians


def hessian(fn: Function) -> Callable[..., Tensor]:
    """A function that gives the Hessian of fn's scalar in its first argument: x [*n] -> [*n, *n].

    It takes one walk back for each entry of x; where only products with it are needed, `hvp` takes one.
    Raises ValueError where fn gives more than one number.

    >>> hessian(lambda x: x[0] ** 2 * x[1])([3.0, 5.0]).numpy()
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacobian(grad(fn))


def check_grads(fn: Function, *args: Any, order: int = 2, rtol: float = 1e-5, atol: float = 1e-7) -> None:
    """Compare fn's derivatives with central differences, entry by entry, up to an order.

    args: float64 arrays or numbers of any shape, at which fn is differentiable; fn gives any shape
    rtol, atol: how far they may part. A difference over a step of 1e-5 is right to about 1e-10 of a
        well-scaled function, so a derivative that is wrong by 0.1 % does not pass.
    Raises AssertionError naming the argument, the entry and both numbers.

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
        wrong = ~np.isclose(exact.numpy(), estimate, rtol, atol)
        if wrong.any():
            at = tuple(int(k) for k in np.argwhere(wrong)[0])
            raise AssertionError(
                f"check_grads: argument {i}, entry {list(at)}: the derivative is {exact.numpy()[at]:.12g}, "
                f"differences give {estimate[at]:.12g}"
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
