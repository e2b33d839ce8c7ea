"""The L2 penalty and gradient clipping."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, optim

# Gradients


@pytest.mark.parametrize("limit", [1e-3, 1.0, 5.0, 100.0])
def test_clipping_matches_pytorch(torch, limit):
    grads = np.random.default_rng(0).normal(size=30)  # of length 4.6
    p = torch.zeros(30)
    p.grad = torch.tensor(grads)
    torch.nn.utils.clip_grad_norm_([p], limit)
    clipped = optim.clip_by_global_norm(Tensor(grads), limit).numpy()
    np.testing.assert_allclose(clipped, p.grad.numpy(), rtol=1e-14)
    assert (clipped == grads).all() == (limit >= 5)


def test_clipping_zero_and_dtypes():
    assert optim.clip_by_global_norm(Tensor(np.zeros(3)), 1.0).numpy().tolist() == [0, 0, 0]
    grads = Tensor(np.array([3.0, 4.0], "float32"))
    clipped = optim.clip_by_global_norm(grads, 0.5)
    assert clipped.dtype == "float32"
    fed = optim.clip_by_global_norm(grads, Tensor(np.float32(0.5)))
    assert (fed.numpy() == clipped.numpy()).all()


def test_l2_gradient_equals_the_derivative_of_the_penalty():
    p = Parameter(np.random.default_rng(0).normal(size=7))
    optim.l2_penalty(p, 0.3, 5).backward()
    np.testing.assert_allclose(optim.l2_gradient(p, 0.3, 5).numpy(), p.grad, rtol=1e-15)
    assert optim.l2_penalty(p, 0.3, 7).item() == pytest.approx(0.3 * (p.numpy() ** 2).sum(), rel=1e-15)
