"""The lab notebook from which minitrain originates: its expressions, printed names, values and gradients.

Its errors are corrected: activations accumulate gradients instead of overwriting them, the traversal does not depend on
the order of a dictionary, and the loops reset gradients. Integers print as 4.0, and the first gradient as 1.0.
"""

import pytest

from minitrain import Parameter


def lines(*values):
    return [str(value) for value in values]


def test_1_a_sum_and_products():
    a, b, c, d = (Parameter(value, name) for value, name in ((3.0, "a"), (2.0, "b"), (5.0, "c"), (5.0, "d")))
    assert lines(a, b) == ["Parameter a = 3.0; dL/d[a] = 0.0", "Parameter b = 2.0; dL/d[b] = 0.0"]
    u = a * b
    v = u + c
    L = v * d
    L.backward()
    assert lines(L, v, d, u, c, a, b) == [
        "Parameter [a * b + c] * d = 55.0; dL/d[[a * b + c] * d] = 1.0",
        "Parameter [a * b + c] = 11.0; dL/d[[a * b + c]] = 5.0",
        "Parameter d = 5.0; dL/d[d] = 11.0",
        "Parameter a * b = 6.0; dL/d[a * b] = 5.0",
        "Parameter c = 5.0; dL/d[c] = 5.0",
        "Parameter a = 3.0; dL/d[a] = 10.0",
        "Parameter b = 2.0; dL/d[b] = 15.0",
    ]


def test_2_a_parameter_used_twice():
    y1, y2, c1, c2 = (Parameter(value, name) for value, name in ((3.0, "y1"), (2.0, "y2"), (7.0, "c1"), (5.0, "c2")))
    y1c1 = y1 * c1
    y2c2y1 = y2 * c2 * y1
    our = y1c1 + y2c2y1
    our.backward()
    assert lines(our, y2c2y1, y1c1, y1, y2, c1, c2) == [
        "Parameter [y1 * c1 + y2 * c2 * y1] = 51.0; dL/d[[y1 * c1 + y2 * c2 * y1]] = 1.0",
        "Parameter y2 * c2 * y1 = 30.0; dL/d[y2 * c2 * y1] = 1.0",
        "Parameter y1 * c1 = 21.0; dL/d[y1 * c1] = 1.0",
        "Parameter y1 = 3.0; dL/d[y1] = 17.0",
        "Parameter y2 = 2.0; dL/d[y2] = 15.0",
        "Parameter c1 = 7.0; dL/d[c1] = 3.0",
        "Parameter c2 = 5.0; dL/d[c2] = 6.0",
    ]


def test_3_a_neuron_and_4_a_second_backward_adds():
    x1, x2, w1, w2 = (Parameter(value, name) for value, name in ((3.0, "x1"), (4.0, "x2"), (1.0, "w1"), (2.0, "w2")))
    x1w1 = x1 * w1
    x2w2 = x2 * w2
    xw = x1w1 + x2w2
    out = xw.sigmoid()
    out.backward()
    slope = 1.670114291046157e-05
    names = [str(value).partition(" = ")[0] for value in (out, xw, x2w2, x1w1)]
    assert names == [
        "Parameter σ([x1 * w1 + x2 * w2])",
        "Parameter [x1 * w1 + x2 * w2]",
        "Parameter x2 * w2",
        "Parameter x1 * w1",
    ]
    assert out.item() == 0.999983298578152
    # The derivative uses the rounded sigmoid: 1 - s has 11 digits here, and the order of its products may differ.
    gradients = [float(value.grad) for value in (xw, x2w2, x1w1, x1, x2, w1, w2)]
    assert gradients == pytest.approx([slope * k for k in (1, 1, 1, 1, 2, 3, 4)], rel=1e-14)

    xx = x1 * x1
    xx.backward()
    assert str(xx) == "Parameter x1 * x1 = 9.0; dL/d[x1 * x1] = 1.0"
    assert float(x1.grad) == 6.00001670114291


def test_5_integers_become_floats():
    x, y = Parameter(4, "x"), Parameter(5, "y")
    L = x * (x * x + y)
    L.backward()
    assert lines(L, x, y) == [
        "Parameter x * [x * x + y] = 84.0; dL/d[x * [x * x + y]] = 1.0",
        "Parameter x = 4.0; dL/d[x] = 53.0",
        "Parameter y = 5.0; dL/d[y] = 4.0",
    ]


def test_6_shared_parts():
    x, y = Parameter(4, "x"), Parameter(5, "y")
    L = (x * x) * (x * x * y)
    L.backward()
    assert lines(L, x, y) == [
        "Parameter x * x * x * x * y = 1280.0; dL/d[x * x * x * x * y] = 1.0",
        "Parameter x = 4.0; dL/d[x] = 1280.0",
        "Parameter y = 5.0; dL/d[y] = 256.0",
    ]


def test_7_gradients_that_pytorch_computes():
    x, y, w = Parameter(4.0, "x"), Parameter(4.0, "y"), Parameter(4.0, "w")
    u1 = x + y
    u2 = u1 * x
    u3 = u2 + w
    L = u1 + u3
    L.backward()
    assert lines(x, y) == ["Parameter x = 4.0; dL/d[x] = 13.0", "Parameter y = 4.0; dL/d[y] = 5.0"]


def sgd(parameters, learning_rate=0.3):
    """As in the notebook."""
    for p in parameters:
        p.data -= learning_rate * p.grad


def test_tasks_2_and_3_gradient_descent():
    x, b = Parameter(3.0, "x"), Parameter(1.0, "b")
    w1, w2 = Parameter(1.0, "w1"), Parameter(2.0, "w2")
    parameters = [w1, w2, b]

    def chain():
        return (w2 * (w1 * x + b).ReLU() + b).ReLU()

    L = chain()
    name = "max(0, [w2 * max(0, [w1 * x + b]) + b])"
    assert str(L) == f"Parameter {name} = 9.0; dL/d[{name}] = 0.0"
    losses = []
    for _ in range(20):
        for p in parameters:
            p.zero_grad()
        losses.append(L.item())
        L.backward()
        sgd(parameters)
        L = chain()
    assert losses[0] == 9.0
    assert losses[1] == pytest.approx(0.1, rel=1e-14)
    assert losses[2:] == [0.0] * 18


@pytest.mark.parametrize(
    ("method", "name"), [("sigmoid", "σ([a + b])"), ("SiLU", "[a + b]*σ([a + b])"), ("ReLU", "max(0, [a + b])")]
)
def test_activations_accumulate_gradients(method, name):
    a, b = Parameter(0.3, "a"), Parameter(0.4, "b")
    hidden = a + b
    activated = getattr(hidden, method)()
    (activated + hidden).backward()
    once = Parameter(0.7, "once")
    getattr(once, method)().backward()
    assert str(activated).startswith(f"Parameter {name} = ")
    assert float(hidden.grad) == float(once.grad) + 1.0
