"""The listing of a compiled step that `minitrain graph` prints, with the cost of each line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from minitrain.compiler.cost import Cost, cost_of
from minitrain.compiler.numpy_executor import NumpyExecutor

Row = tuple[Cost | None, str]
Section = tuple[str, list[Row]]  # heading and lines


def format_listing(step: NumpyExecutor) -> str:
    """The inputs and constants of a step, its instructions in the order in which they run, and their total cost.

    >>> import numpy as np
    >>> from minitrain.compiler.passes import optimize
    >>> from minitrain.compiler.tracing import trace
    >>> print(format_listing(NumpyExecutor(optimize(trace(lambda x: (x * 2.0).tanh(), np.ones(3))), first=["0"])))
    calls  bytes  flop
    <BLANKLINE>
    inputs and constants
                        %0: f64[3] = input x
                        %1: f64[]  = constant 2.0
    <BLANKLINE>
    loss
        1     56     3  %2: f64[3] = multiply %0 %1
        1     48     3  %3: f64[3] = tanh %2
                        output 0 = %3
    <BLANKLINE>
    2 instructions, 2 calls, 104 B moved, 6 flop, 64 B of memory a step
    """
    sections = _sections(step)
    costs = [cost for _, rows in sections for cost, _ in rows if cost is not None]
    total = sum(costs, Cost())
    heading = ("calls", "bytes", "flop")
    widths = [max(len(name), len(f"{n:,}")) for name, n in zip(heading, _numbers(total), strict=True)]

    def line(cells: Sequence[str], text: str) -> str:
        columns = [f"{cell:>{width}}" for cell, width in zip_longest(cells, widths, fillvalue="")]
        return "  ".join([*columns, text]).rstrip()

    lines = [line(heading, "")]
    for title, rows in sections:
        lines += ["", title]
        for cost, text in rows:
            numbers = () if cost is None else _numbers(cost)[: None if cost.calls else 1]
            lines.append(line([f"{n:,}" for n in numbers], text))
    parts = [
        f"{len(step.tape.instructions)} instructions",
        f"{total.calls} calls",
        f"{_short(total.nbytes, 'B')} moved",
        _short(total.flops, "flop"),
        f"{_short(step.nbytes, 'B')} of memory a step",
    ]
    return "\n".join([*lines, "", ", ".join(parts)])


def _sections(step: NumpyExecutor) -> list[Section]:
    """Inputs and constants, the instructions that compute the loss, and those of the update."""
    tape, plan = step.tape, step.plan
    definitions = tape.definitions()
    widest = max(len(f"%{value}: {t}") for value, t in tape.types.items())

    def text(value: int) -> str:
        return f"{f'%{value}: {tape.types[value]}':<{widest}} = {definitions[value]}"

    defined: list[Row] = [(None, text(value)) for value in (*tape.inputs.values(), *tape.constants)]
    rows: list[Row] = [(cost_of(i, plan, step.counts[i.value]), text(i.value)) for i in plan.order]
    loss, update = rows[: plan.boundary], rows[plan.boundary :]
    early = {i.value for i in plan.order[: plan.boundary]}
    for name, value in tape.outputs.items():
        copies = step.counts.get(name, 0)
        cost = Cost(copies, 2 * tape.types[value].nbytes) if copies else None
        (loss if value in early else update).append((cost, f"output {name} = %{value}"))
    sections = [("inputs and constants", defined), ("loss", loss), ("update", update)]
    return [(title, rows) for title, rows in sections if rows]


def _numbers(cost: Cost) -> tuple[int, int, int]:
    return cost.calls, cost.nbytes, cost.flops


def _short(number: float, unit: str) -> str:
    """A number with a metric prefix and at least three digits: `313 kB`, `6.94 Mflop`, `1,234 Gflop`."""
    for prefix in ("", "k", "M", "G"):
        if number < 1000 or prefix == "G":
            break
        number /= 1000
    return (f"{number:.3g}" if number < 999.5 else f"{number:,.0f}") + f" {prefix}{unit}"
