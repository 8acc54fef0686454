"""The evidence of the surrogate's Gaussian process against scipy's density and against differences."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from stcg_nb.interventions.marginal_likelihood import CENTER, JITTER, PARAMETERS, factorised, kernel, log_evidence

PLAYERS, OUTPUTS = 5, 3


@pytest.fixture
def masks():
    return torch.from_numpy((np.random.default_rng(0).random((12, PLAYERS)) < 0.6).astype(float))


@pytest.fixture
def targets():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(OUTPUTS, 12)))


@pytest.fixture
def parameters():
    rng = np.random.default_rng(2)
    shapes = {
        name: (OUTPUTS, PLAYERS) if name in ("rate", "slope", "absence_decay") else (OUTPUTS,) for name in PARAMETERS
    }
    return {name: torch.from_numpy(rng.normal(-0.5, 0.7, shape)).requires_grad_() for name, shape in shapes.items()}


def by_the_formula(a, b, p, output):
    """The kernel of the module docstring, an entry at a time."""
    rate, slope, decay = (p[name][output].detach().numpy() for name in ("rate", "slope", "absence_decay"))
    scale, offset, tail = (np.exp(p[name][output].item()) for name in ("scale", "offset", "tail"))
    out = np.empty((len(a), len(b)))
    for i, x in enumerate(a.numpy()):
        for j, y in enumerate(b.numpy()):
            d = np.exp(rate)[x != y].sum()
            g = np.exp(-decay[x == 0].sum() - decay[y == 0].sum())
            linear = (np.exp(slope) * (x - CENTER) * (y - CENTER)).sum()
            out[i, j] = scale * g * (1 + d / tail) ** -tail + linear + offset
    return out


def test_the_kernel_is_the_formulas(masks, parameters):
    for o in range(OUTPUTS):
        got = kernel(masks[:4], masks, {name: value[o].detach() for name, value in parameters.items()})
        np.testing.assert_allclose(got, by_the_formula(masks[:4], masks, parameters, o), rtol=1e-12)


def test_the_evidence_is_the_normal_density(masks, targets, parameters):
    expected = 0.0
    for o, y in enumerate(targets.numpy()):
        noise = (np.exp(parameters["noise"][o].item()) + JITTER) * np.eye(len(masks))
        covariance = by_the_formula(masks, masks, parameters, o) + noise
        expected += multivariate_normal(cov=covariance).logpdf(y) + len(masks) / 2 * np.log(2 * np.pi)
    assert log_evidence(masks, targets, parameters).item() == pytest.approx(expected, rel=1e-10)


def test_its_gradient_is_that_of_differences(masks, targets, parameters):
    def evidence(*values):
        return log_evidence(masks, targets, dict(zip(PARAMETERS, values, strict=True)))

    assert torch.autograd.gradcheck(evidence, tuple(parameters[name] for name in PARAMETERS))


def test_a_matrix_that_rounding_made_indefinite_is_mended():
    vectors = np.random.default_rng(3).normal(size=(40, 2))
    matrix = vectors @ vectors.T - 1e-9 * np.eye(40)
    factor = factorised(torch.from_numpy(matrix.copy()))  # it overwrites its argument
    np.testing.assert_allclose(factor @ factor.T, matrix, atol=1e-4)


def test_one_beyond_mending_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        factorised(-torch.eye(3, dtype=torch.float64))
