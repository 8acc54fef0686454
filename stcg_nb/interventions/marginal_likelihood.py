"""How likely the values of masks are under a Gaussian process, and the gradient of it by the kernel's parameters.

The kernel is that of `stcg_nb.interventions.surrogate`, K for the masks that were tried. With y what was measured and w = K^-1 y
(Rasmussen and
Williams 2006, equations 5.8 and 5.9), up to a constant

    log p(y) = - y.w / 2 - log det K / 2,      d log p / d K = G = (w w' - K^-1) / 2

From G, the chain rule gives every parameter in closed form, so nothing is kept between forward and backward pass but the gradient
itself, and one output is worked on at a time, within a core's cache. Automatic differentiation of the same formula stores a dozen
matrices an output and goes back through the Cholesky factor: it takes several times as long, and gigabytes for long answers.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

CENTER = 0.7  # about the mean of the masks
JITTER = 1e-5
PARAMETERS = ("rate", "slope", "absent", "scale", "offset", "noise", "tail")


def kernel(a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Covariances ``[a, b]`` of one output's values for masks ``[a, player]`` and ``[b, player]``.

    Args:
        a, b: float64, ones and zeros.
        p: "rate", "slope" and "absent" ``[player]``, "scale", "offset" and "tail" numbers; logarithms, except "absent".

    >>> p = {name: torch.zeros(2, dtype=torch.float64) for name in PARAMETERS[:3]}
    >>> p |= {name: torch.zeros((), dtype=torch.float64) for name in PARAMETERS[3:]}
    >>> kernel(torch.ones(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64), p).round(decimals=2).tolist()
    [[2.18]]
    """
    return _with_linear(_varying(_stretch(a, b, p).log_(), a, b, p), a, b, p)


# The last two work in the place of what they are given, since of thousands of masks that is large.


def _stretch(a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """1 + d / tail ``[a, b]``, with d the summed rates of the players that differ."""
    rate = p["rate"].exp()
    apart = (a @ rate)[:, None] + b @ rate
    return apart.addmm_(a * rate, b.T, alpha=-2).div_(p["tail"].exp()).add_(1)


def _varying(log_stretch: Tensor, a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """The kernel's first term, in the place of the stretch's logarithm."""
    shrink = (1 - a) @ p["absent"], (1 - b) @ p["absent"]
    return log_stretch.mul_(-p["tail"].exp()).add_(p["scale"] - shrink[0][:, None]).sub_(shrink[1]).exp_()


def _with_linear(varying: Tensor, a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """The whole kernel, in the place of its first term."""
    return varying.addmm_((a - CENTER) * p["slope"].exp(), (b - CENTER).T).add_(p["offset"].exp())


def factorised(covariance: Tensor) -> np.ndarray:
    """The Cholesky factor of ``[mask, mask]``, lower, for LAPACK; where rounding made it indefinite (a few players, each mask many
    times), with as little more on the diagonal as it takes.

    >>> factorised(torch.tensor([[4.0, 2.0], [2.0, 10.0]], dtype=torch.float64)).tolist()
    [[2.0, 0.0], [1.0, 3.0]]
    """
    matrix = covariance.numpy().T  # the same matrix, in Fortran's order
    factor, failed = lapack.dpotrf(matrix, lower=1)
    for share in (1e-8, 1e-6, 1e-4, 1e-2):
        if not failed:
            break
        more = share * matrix.diagonal().mean() * np.eye(len(matrix))
        factor, failed = lapack.dpotrf(matrix + more, lower=1)
    if failed:
        raise np.linalg.LinAlgError(f"A covariance of {len(matrix)} masks is not positive definite.")
    return cast(np.ndarray, factor)


def solved(factor: np.ndarray, y: Tensor) -> Tensor:
    """K^-1 y ``[mask]`` from the Cholesky factor of K.

    >>> solved(np.array([[2.0, 0.0], [1.0, 3.0]], order="F"), torch.tensor([4.0, 2.0], dtype=torch.float64)).tolist()
    [1.0, 0.0]
    """
    return torch.from_numpy(lapack.dpotrs(factor, y.numpy(), lower=1)[0])


def log_evidence(masks: Tensor, targets: Tensor, p: dict[str, Tensor]) -> Tensor:
    """The summed log evidence of all outputs, differentiable by the parameters.

    Args:
        masks: float64 ``[mask, player]``, ones and zeros.
        targets: What was measured, ``[output, mask]``.
        p: As in `kernel`, of all outputs, ``[output, player]`` and ``[output]``; and "noise" ``[output]``, a variance's logarithm.

    >>> p = {name: torch.zeros(1, 2, dtype=torch.float64) for name in PARAMETERS[:3]}
    >>> p |= {name: torch.zeros(1, dtype=torch.float64, requires_grad=True) for name in PARAMETERS[3:]}
    >>> masks = torch.tensor([[1.0, 1], [1, 0], [0, 0]], dtype=torch.float64)
    >>> value = log_evidence(masks, torch.tensor([[1.0, 0, -1]], dtype=torch.float64), p)
    >>> value.backward()
    >>> bool(p["noise"].grad < 0)
    True
    """
    value: Tensor = _LogEvidence.apply(masks, targets, *(p[name] for name in PARAMETERS))
    return value


class _LogEvidence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, masks: Tensor, targets: Tensor, *parameters: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        gradients = [torch.empty_like(value) for value in parameters]
        for o, target in enumerate(targets):
            p = {name: value[o] for name, value in zip(PARAMETERS, parameters, strict=True)}
            value, gradient = _one(masks, target, p)
            total += value
            for name, into in zip(PARAMETERS, gradients, strict=True):
                into[o] = gradient[name]
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return None, None, *(upstream[0] * gradient for gradient in ctx.saved_tensors)


def _one(z: Tensor, y: Tensor, p: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Log evidence of one output, and its gradient by each of the parameters, ``[player]`` or a number."""
    rate, slope, tail = p["rate"].exp(), p["slope"].exp(), p["tail"].exp()
    centred = z - CENTER
    stretch = _stretch(z, z, p)
    log_stretch = stretch.log()
    varying = _varying(log_stretch.clone(), z, z, p)
    covariance = _with_linear(varying.clone(), z, z, p)
    covariance.diagonal().add_(p["noise"].exp() + JITTER)
    factor = factorised(covariance)
    w = solved(factor, y)
    value = -0.5 * (y @ w) - float(np.log(factor.diagonal()).sum())

    half = torch.from_numpy(lapack.dpotri(factor, lower=1)[0])  # one triangle of K^-1, zeros in the other
    half.diagonal().div_(2)
    g = torch.outer(w, w).sub_(half).sub_(half.T).div_(2)
    by_varying = varying.mul_(g)  # times d varying = d log p by whatever varying depends on
    by_row = by_varying.sum(1)
    by_spread = -(by_varying * log_stretch).sum()
    by_distance = by_varying.div_(stretch)
    gradient = {
        "rate": -2 * rate * (z.T @ by_distance.sum(1) - (z * (by_distance @ z)).sum(0)),
        "slope": slope * (centred * (g @ centred)).sum(0),
        "absent": -2 * ((1 - z).T @ by_row),
        "scale": by_row.sum(),
        "offset": p["offset"].exp() * g.sum(),
        "noise": p["noise"].exp() * g.diagonal().sum(),
        "tail": tail * (by_spread + by_row.sum() - by_distance.sum()),
    }
    return value, gradient
