"""The log marginal likelihood of masks' values under a Gaussian process, and its gradient by the kernel's parameters.

The kernel is that of `stcg_nb.interventions.surrogate`; K is the covariance of the measured masks, noise included. With y the
measured values and w = K^-1 y (Rasmussen and Williams 2006, equations 5.8 and 5.9), up to a constant

    log p(y) = - y.w / 2 - log det K / 2,      d log p / d K = G = (w w' - K^-1) / 2

From G, the chain rule gives the gradient by every parameter in closed form. The forward pass computes it, one output at a time,
which fits into a core's cache, and keeps nothing else for the backward pass. Automatic differentiation of the same formula stores
a dozen matrices an output and differentiates the Cholesky factorisation: it takes several times as long, and gigabytes for long
answers.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

CENTER = 0.7  # about the mean of the masks
JITTER = 1e-5  # added to the noise variance, for a stable Cholesky factorisation
PARAMETERS = ("rate", "slope", "absence_decay", "scale", "offset", "noise", "tail")
"""theta, w, omega, s, c, the noise variance and a in the notation of `stcg_nb.interventions.surrogate`."""


def kernel(a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Covariances ``[a, b]`` of one output's values for masks ``[a, player]`` and ``[b, player]``.

    Args:
        a, b: Masks as float64, 1 where a player is present, else 0.
        p: Parameters of one output: "rate", "slope" and "absence_decay" ``[player]``, "scale", "offset" and "tail" scalars.
            All are logarithms, except "absence_decay".

    >>> p = {name: torch.zeros(2, dtype=torch.float64) for name in PARAMETERS[:3]}
    >>> p |= {name: torch.zeros((), dtype=torch.float64) for name in PARAMETERS[3:]}
    >>> kernel(torch.ones(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64), p).round(decimals=2).tolist()
    [[2.18]]
    """
    return _with_linear(_varying(_stretch(a, b, p).log_(), a, b, p), a, b, p)


# `_varying` and `_with_linear` overwrite their first argument, which is large for thousands of masks.


def _stretch(a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """1 + d / tail, ``[a, b]``; d sums the rates of the players in which two masks differ."""
    rate = p["rate"].exp()
    apart = (a @ rate)[:, None] + b @ rate
    return apart.addmm_(a * rate, b.T, alpha=-2).div_(p["tail"].exp()).add_(1)


def _varying(log_stretch: Tensor, a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """The kernel's first term ``[a, b]``. Overwrites the logarithm of the stretch."""
    decay = (1 - a) @ p["absence_decay"], (1 - b) @ p["absence_decay"]
    return log_stretch.mul_(-p["tail"].exp()).add_(p["scale"] - decay[0][:, None]).sub_(decay[1]).exp_()


def _with_linear(varying: Tensor, a: Tensor, b: Tensor, p: dict[str, Tensor]) -> Tensor:
    """The whole kernel ``[a, b]``. Overwrites its first term."""
    return varying.addmm_((a - CENTER) * p["slope"].exp(), (b - CENTER).T).add_(p["offset"].exp())


def factorised(covariance: Tensor) -> np.ndarray:
    """The lower Cholesky factor ``[mask, mask]`` of a covariance, in Fortran order for LAPACK. Overwrites the covariance.

    Where rounding makes the covariance indefinite (few players, each mask many times), the smallest share of its mean variance
    that suffices, from 1e-8 to 1e-2, is added to the diagonal.

    Raises:
        numpy.linalg.LinAlgError: If a share of 1e-2 does not suffice.

    >>> factorised(torch.tensor([[4.0, 2.0], [2.0, 10.0]], dtype=torch.float64)).tolist()
    [[2.0, 0.0], [1.0, 3.0]]
    """
    matrix = covariance.numpy().T  # the same matrix, in Fortran's order
    diagonal, above = matrix.diagonal().copy(), ~np.tri(len(matrix), dtype=bool)
    for share in (0, 1e-8, 1e-6, 1e-4, 1e-2):
        if share:
            # LAPACK overwrote the lower triangle and left the upper one, which is the same for a covariance.
            matrix.T[above] = matrix[above]
            np.fill_diagonal(matrix, diagonal + share * diagonal.mean())
        factor, failed = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
        if not failed:
            break
    if failed:
        raise np.linalg.LinAlgError(f"A covariance of {len(matrix)} masks is not positive definite.")
    factor[above] = 0
    return cast(np.ndarray, factor)


def solved(factor: np.ndarray, y: Tensor) -> Tensor:
    """K^-1 y, ``[mask]``, from the lower Cholesky factor of K, ``[mask, mask]``, and y, ``[mask]``.

    >>> solved(np.array([[2.0, 0.0], [1.0, 3.0]], order="F"), torch.tensor([4.0, 2.0], dtype=torch.float64)).tolist()
    [1.0, 0.0]
    """
    return torch.from_numpy(lapack.dpotrs(factor, y.numpy(), lower=1)[0])


def log_evidence(masks: Tensor, targets: Tensor, p: dict[str, Tensor]) -> Tensor:
    """The log marginal likelihood, summed over outputs; a scalar that is differentiable by the parameters.

    Args:
        masks: float64 ``[mask, player]``, 1 where a player is present, else 0.
        targets: The measured values, standardised, ``[output, mask]``.
        p: The parameters of `kernel` for all outputs, ``[output, player]`` and ``[output]``, and "noise" ``[output]``, the
            logarithm of the noise variance.

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
            for name, of_outputs in zip(PARAMETERS, gradients, strict=True):
                of_outputs[o] = gradient[name]
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return None, None, *(upstream[0] * gradient for gradient in ctx.saved_tensors)


def _one(z: Tensor, y: Tensor, p: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The log marginal likelihood of one output, and its gradient by each parameter, ``[player]`` or a scalar.

    Args:
        z: Masks, float64 ``[mask, player]``.
        y: The output's values, standardised, ``[mask]``.
        p: The output's parameters, as in `kernel`, and "noise".
    """
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

    half = torch.from_numpy(lapack.dpotri(factor, lower=1)[0])  # the lower triangle of K^-1, zeros above
    half.diagonal().div_(2)
    g = torch.outer(w, w).sub_(half).sub_(half.T).div_(2)
    by_varying = varying.mul_(g)  # d log p / d x = sum of this times d log(varying) / d x
    by_row = by_varying.sum(1)
    by_spread = -(by_varying * log_stretch).sum()
    by_distance = by_varying.div_(stretch)
    gradient = {
        "rate": -2 * rate * (z.T @ by_distance.sum(1) - (z * (by_distance @ z)).sum(0)),
        "slope": slope * (centred * (g @ centred)).sum(0),
        "absence_decay": -2 * ((1 - z).T @ by_row),
        "scale": by_row.sum(),
        "offset": p["offset"].exp() * g.sum(),
        "noise": p["noise"].exp() * g.diagonal().sum(),
        "tail": tail * (by_spread + by_row.sum() - by_distance.sum()),
    }
    return value, gradient
