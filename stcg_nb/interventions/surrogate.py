"""A model of the model: what the value of a mask will be, learnt from the values of a few hundred masks.

1. Masks are ones and zeros, so v is a function on the corners of a cube, of few strong players and with interactions of any
   order. It is modelled as a Gaussian process with a kernel for such functions, one rate per player (automatic relevance
   determination, MacKay 1996):

       k(z, z') = s g(z) g(z') (1 + d / a)^-a + sum_i w_i (z_i - 0.7)(z'_i - 0.7) + c
       d = sum_i theta_i [z_i != z'_i],   g(z) = prod_i exp(-omega_i (1 - z_i))

   A player with theta_i near 0 does not matter. The first term is rational quadratic in the distance d: a mixture of products
   over the players, so it holds interactions of all orders, at several scales. g lets the function vary less, or more, where
   a player is absent: without the object that is asked about, little else counts. The sum holds the main effects. Rasmussen and
   Williams 2006, chapters 2, 4.2 and 5.
2. The parameters maximise the marginal likelihood under a hierarchical prior: a player's rates at the answer's steps scatter
   around one that is its own, so that steps share what they have in common. A penalty on the rates favours few players.
   At most `FIT_ON` masks, drawn at random, take part in this; the posterior then uses all of them.
3. v has long tails: without the object that the answer names it falls by 20 nats. Every step is therefore learnt twice, as
   it is and as normal scores (Blom 1958), and `Surrogate.score` is the mean of both: on development questions it ranked
   unseen masks at least as well as either alone, and better than extremely randomised trees and leave-one-out sums.

The kernel and its evidence are in `stcg_nb.interventions.marginal_likelihood`. scikit-learn's Gaussian process has no priors
over the rates and takes one
fit a step; it came close in rank (within .01 of LDS) and took several times as long.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import norm, rankdata
from threadpoolctl import threadpool_limits
from torch import Tensor

from stcg_nb.interventions.marginal_likelihood import JITTER, PARAMETERS, factorised, kernel, log_evidence, solved

ITERATIONS = 25
FIT_ON = 384


class Surrogate:
    """Predicts values of masks from those of others.

    Args:
        masks: bool ``[mask, player]``, the masks that were tried.
        values: float ``[mask, step]``, what the model made of them, in nats.

    >>> rng = np.random.default_rng(0)
    >>> masks = rng.random((60, 5)) < 0.7
    >>> values = (3.0 * masks[:, :1] * masks[:, 1:2] + masks[:, 2:3])
    >>> fitted = Surrogate(masks, values)
    >>> np.ones((1, 5), bool).shape, bool(abs(fitted.predict(np.ones((1, 5), bool))[0, 0] - 4) < 0.2)
    ((1, 5), True)
    """

    def __init__(self, masks: np.ndarray, values: np.ndarray) -> None:
        self._masks = torch.from_numpy(np.asarray(masks, dtype=np.float64))
        values = np.asarray(values, dtype=np.float64)
        self.steps = values.shape[1]
        targets = np.concatenate([values, normal_scores(values)], axis=1)
        self._mean, self._scale = targets.mean(0), targets.std(0)
        self._scale[self._scale == 0] = 1.0
        self._targets = torch.from_numpy(((targets - self._mean) / self._scale).T)  # [output, mask]
        # Matrices this small are slower on several threads; beside torch's own, much slower.
        with threadpool_limits(1, "blas"):
            self._parameters = self._fit()
            self._weights = torch.stack([self._solve(o) for o in range(len(self._targets))])

    def _only(self, output: int) -> dict[str, Tensor]:
        """The kernel's parameters of one output."""
        return {name: self._parameters[name][output] for name in PARAMETERS}

    def _solve(self, output: int) -> Tensor:
        """Weights ``[mask]`` of the posterior mean."""
        p = self._only(output)
        covariance = kernel(self._masks, self._masks, p)
        covariance.diagonal().add_(p["noise"].exp() + JITTER)
        return solved(factorised(covariance), self._targets[output])

    def predict(self, masks: np.ndarray) -> np.ndarray:
        """Values in nats, float64 ``[mask, step]``."""
        return self._outputs(masks)[:, : self.steps]

    def score(self, masks: np.ndarray) -> np.ndarray:
        """The mean of the value and its normal score, both in nats, float64 ``[mask, step]``: the better predictor of ranks."""
        out = self._outputs(masks)
        value, rank = out[:, : self.steps], out[:, self.steps :]
        deviation = self._scale[: self.steps]
        return (value + self._mean[: self.steps] + deviation * rank) / 2

    def resampled(self, masks: np.ndarray, n: int, seed: int) -> np.ndarray:
        """Values in nats by n bootstrap samples of the tried masks, the kernel's rates held: ``[sample, mask, step]``."""
        draws = np.random.default_rng(seed).integers(len(self._masks), size=(n, len(self._masks)))
        counted = [[torch.from_numpy(x) for x in np.unique(draw, return_counts=True)] for draw in draws]
        asked = torch.from_numpy(np.asarray(masks, dtype=np.float64))
        out = np.empty((n, len(masks), self.steps))
        with threadpool_limits(1, "blas"):
            for t in range(self.steps):
                p = self._only(t)
                covariance, cross = kernel(self._masks, self._masks, p), kernel(asked, self._masks, p)
                for b, (drawn, times) in enumerate(counted):
                    # A mask that was drawn k times counts k times: its noise is divided by k.
                    sample = covariance[drawn][:, drawn]
                    sample.diagonal().add_((p["noise"].exp() + JITTER) / times)
                    weights = solved(factorised(sample), self._targets[t, drawn])
                    out[b, :, t] = (cross[:, drawn] @ weights).numpy()
        return out * self._scale[: self.steps] + self._mean[: self.steps]

    def _outputs(self, masks: np.ndarray) -> np.ndarray:
        asked = torch.from_numpy(np.asarray(masks, dtype=np.float64))
        # One after the other: a long answer has dozens, and all at once they would take gigabytes.
        out = [kernel(asked, self._masks, self._only(o)) @ weights for o, weights in enumerate(self._weights)]
        return torch.stack(out, 1).numpy() * self._scale + self._mean

    def _fit(self) -> dict[str, Tensor]:
        """The kernel's parameters, as logarithms except "absent" (omega): maximum a posteriori by L-BFGS."""
        masks, targets = self._masks, self._targets
        if len(masks) > FIT_ON:
            rows = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(masks))[:FIT_ON]))
            masks, targets = masks[rows], targets[:, rows]
        outputs, players = len(targets), masks.shape[1]

        def filled(value: float, *shape: int) -> Tensor:
            return torch.full(shape, math.log(value), dtype=torch.float64, requires_grad=True)

        p = {
            "rate": filled(0.1, outputs, players),
            "slope": filled(0.05, outputs, players),
            "player_rate": filled(0.1, players),
            "player_slope": filled(0.05, players),
            "scale": filled(1.0, outputs),
            "offset": filled(1.0, outputs),
            "noise": filled(0.02, outputs),
            "tail": filled(2.0, outputs),
            "absent": torch.zeros(outputs, players, dtype=torch.float64, requires_grad=True),
        }
        optimizer = torch.optim.LBFGS(
            list(p.values()), max_iter=ITERATIONS, history_size=20, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            optimizer.zero_grad()
            prior = (
                -0.5 * ((p["rate"] - p["player_rate"]) ** 2).sum()
                - 0.5 * ((p["slope"] - p["player_slope"]) ** 2).sum()
                - 0.5 * (((p["player_rate"] + 3) / 3) ** 2).sum()
                - 0.5 * (((p["player_slope"] + 4) / 3) ** 2).sum()
                - p["rate"].exp().sum()
                - 0.05 * (p["scale"] ** 2).sum()
                - 0.05 * (p["offset"] ** 2).sum()
                - 0.02 * ((p["noise"] + 4) ** 2).sum()
                - 0.5 * ((p["tail"] - math.log(2)) ** 2).sum()
                - 0.5 * ((p["absent"] / 0.3) ** 2).sum()
            )
            total = -log_evidence(masks, targets, p) - prior
            total.backward()
            return total

        with torch.enable_grad():
            optimizer.step(loss)
        return {name: value.detach() for name, value in p.items()}


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Each column's ranks as quantiles of the normal distribution, ``[mask, step]``; ties share their mean rank.

    >>> normal_scores(np.array([[5.0], [100.0], [-3.0]])).round(2).ravel().tolist()
    [0.0, 0.97, -0.97]
    """
    return norm.ppf((rankdata(values, axis=0) - 0.5) / len(values))
