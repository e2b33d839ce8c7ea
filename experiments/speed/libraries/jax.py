"""The cases in JAX: one call of a compiled function per step, for all steps, or for all steps of all runs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import BETAS, EPS, MOMENTUM, Array, Case
from jax import lax

VERSION = f"JAX {jax.__version__}"


class Functions:
    """A case as pure functions: state = (parameters, moments, number of steps)."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.activation = {"silu": jax.nn.silu, "relu": jax.nn.relu}[case.activation]
        # XLA's convolutions on CPUs prefer the layout NHWC.
        self.x = jnp.asarray(case.x.reshape(-1, 8, 8, 1) if case.channels else case.x)
        self.y = jnp.asarray(case.y)

    def start(self, weights: list[Array]) -> Any:
        parameters = [jnp.asarray(w) for w in weights]
        count = {"sgd": 0, "momentum": 1, "adam": 2}[self.case.optimizer]
        return parameters, [[jnp.zeros_like(p) for p in parameters] for _ in range(count)], jnp.zeros((), jnp.int32)

    def network(self, parameters: list[jax.Array], x: jax.Array) -> jax.Array:
        pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
        for weight, bias in pairs[:-1]:
            if self.case.channels:
                kernel = weight.transpose(2, 3, 1, 0)
                x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
                x = self.activation(x + bias)
                # This takes three quarters of the time of lax.reduce_window's derivative. Equal entries of a window
                # share its gradient; after ReLU they are zeros, which do not propagate it.
                size, height, width, channels = x.shape
                x = x.reshape(size, height // 2, 2, width // 2, 2, channels).max((2, 4))
            else:
                x = self.activation(x @ weight.T + bias)
        if self.case.channels:
            x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # the weights of the last layer have PyTorch's order
        weight, bias = pairs[-1]
        return x @ weight.T + bias

    def loss(self, parameters: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        output = self.network(parameters, x)
        if self.case.loss == "mse":
            return jnp.mean((output - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(output), y[:, None], axis=1))

    def step(self, state: Any, lr: Any, x: jax.Array, y: jax.Array, rows: jax.Array | None) -> tuple[Any, jax.Array]:
        """One update and the loss before it."""
        parameters, moments, count = state
        if rows is not None:
            x, y = x[rows], y[rows]
        loss, gradients = jax.value_and_grad(self.loss)(parameters, x, y)
        steps = gradients
        if self.case.optimizer == "momentum":
            steps = [MOMENTUM * v + g for v, g in zip(moments[0], gradients, strict=True)]
            moments = [steps]
        elif self.case.optimizer == "adam":
            means, squares = moments
            means = [BETAS[0] * m + (1 - BETAS[0]) * g for m, g in zip(means, gradients, strict=True)]
            squares = [BETAS[1] * v + (1 - BETAS[1]) * g * g for v, g in zip(squares, gradients, strict=True)]
            first, second = (1 - beta ** (count + 1.0) for beta in BETAS)
            steps = [m / first / (jnp.sqrt(v / second) + EPS) for m, v in zip(means, squares, strict=True)]
            moments = [means, squares]
        parameters = [p - lr * s for p, s in zip(parameters, steps, strict=True)]
        return (parameters, moments, count + 1), loss

    def scan(
        self, state: Any, lr: Any, x: jax.Array, y: jax.Array, rows: jax.Array | None, length: int
    ) -> tuple[Any, jax.Array]:
        """Many updates and the loss before each."""
        return lax.scan(lambda state, batch: self.step(state, lr, x, y, batch), state, rows, length)


class PerStep:
    """One call per step."""

    def __init__(self, case: Case) -> None:
        self.functions = f = Functions(case)
        self.state, self.lr = f.start([w[0] for w in case.weights]), jnp.asarray(case.lr[0])
        self.rows = None if case.rows is None else [jnp.asarray(rows) for rows in case.rows]
        self.step = jax.jit(f.step)

    def train(self, steps: int) -> tuple[Any, list[jax.Array]]:
        state, losses = self.state, []
        for step in range(steps):
            rows = None if self.rows is None else self.rows[step]
            state, loss = self.step(state, self.lr, self.functions.x, self.functions.y, rows)
            losses.append(loss)
        return state, losses

    def losses(self, steps: int) -> Array:
        return np.array([[float(loss) for loss in self.train(steps)[1]]])

    def steps(self, steps: int) -> None:
        jax.block_until_ready(self.train(steps)[0])


class Stacked:
    """All steps of all runs in one call: vmap over runs of a scan over steps."""

    def __init__(self, case: Case) -> None:
        self.functions = f = Functions(case)
        self.state, self.lr = jax.vmap(f.start)(case.weights), jnp.asarray(case.lr)
        self.rows = None if case.rows is None else jnp.asarray(case.rows)
        self.scan = jax.jit(jax.vmap(f.scan, in_axes=(0, 0, None, None, None, None)), static_argnums=5)

    def train(self, steps: int) -> tuple[Any, jax.Array]:
        rows = None if self.rows is None else self.rows[:steps]
        return self.scan(self.state, self.lr, self.functions.x, self.functions.y, rows, steps)

    def losses(self, steps: int) -> Array:
        return np.asarray(self.train(steps)[1])

    def steps(self, steps: int) -> None:
        jax.block_until_ready(self.train(steps))


class Scan(Stacked):
    """All steps of one run in one call."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.state, self.lr = self.functions.start([w[0] for w in case.weights]), jnp.asarray(case.lr[0])
        self.scan = jax.jit(self.functions.scan, static_argnums=5)

    def losses(self, steps: int) -> Array:
        return super().losses(steps)[None]
