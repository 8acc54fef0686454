"""The surrogate: a Gaussian process that predicts the value of any mask, with its uncertainty, from the values of a few hundred.

1. Masks are ones and zeros, so v is a function on the corners of a cube. A few players dominate it, and interactions may be of
   any order. The kernel suits such functions and has one rate per player (automatic relevance determination, MacKay 1996):

       k(z, z') = s g(z) g(z') (1 + d / a)^-a + sum_i w_i (z_i - 0.7)(z'_i - 0.7) + c
       d = sum_i theta_i [z_i != z'_i],   g(z) = prod_i exp(-omega_i (1 - z_i))

   A player with theta_i near 0 does not matter. The first term is rational quadratic in the distance d, that is, a mixture of
   products over the players, so it models interactions of all orders at several scales. g lets the function vary less, or more,
   where a player is absent: without the object that the question asks about, the other players have little effect. The sum
   models the main effects. See Rasmussen and Williams 2006, chapters 2, 4.2 and 5.
2. The parameters maximise the marginal likelihood times a hierarchical prior (maximum a posteriori): a player's rates at the
   answer steps scatter around that player's own mean rate, so steps share information. A penalty on the rates favours few
   players. The fit uses at most `FIT_ON` masks, drawn at random; the posterior uses all masks. `Surrogate.given` keeps the
   parameters and takes more masks, so that masks can be chosen in rounds without another fit.
3. v has long tails: without the object that the answer names it falls by 20 nats. Each step is therefore fitted twice, to its
   values and to their normal scores (Blom 1958), and `Surrogate.score` is the mean of both. On development questions it ranked
   unseen masks at least as well as either alone, and better than extremely randomised trees and leave-one-out sums.
4. `Surrogate.left_out` predicts measured masks as if they had not been measured, in closed form (Rasmussen and Williams 2006,
   equations 5.10 to 5.12, for groups of masks: with the group's block B of K^-1, y - B^-1 [K^-1 y]).

Tried on development questions and dropped, since unseen masks were ranked no better: the logits of competing answers as further
outputs (LDS within .01), masks that cut attention as a cheap second source (worse from 256 masks on), other shares of masks with
few players absent and pictures that no two masks share (within .005 on drawn scenes and .014 on photographs, n = 33 and 12).

The kernel and its marginal likelihood are in `stcg_nb.interventions.marginal_likelihood`. scikit-learn's Gaussian process has no
priors over the rates and needs one fit a step; its LDS was within .01, and it took several times as long.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from scipy.linalg import lapack, solve_triangular
from scipy.stats import norm, rankdata
from threadpoolctl import threadpool_limits
from torch import Tensor

from stcg_nb.interventions.marginal_likelihood import JITTER, PARAMETERS, factorised, kernel, log_evidence, solved

ITERATIONS = 25  # of L-BFGS
AT_ONCE = 512  # masks whose values are predicted together
FIT_ON = 384  # masks that the parameters are fitted to, at most


class Surrogate:
    """Predicts the values of masks. Constructing it fits it.

    Args:
        masks: The masks that were run through the model, bool ``[mask, player]``.
        values: Their values v in nats, float ``[mask, step]``.

    >>> rng = np.random.default_rng(0)
    >>> masks = rng.random((60, 5)) < 0.7
    >>> values = (3.0 * masks[:, :1] * masks[:, 1:2] + masks[:, 2:3])
    >>> fitted = Surrogate(masks, values)
    >>> bool(abs(fitted.predict(np.ones((1, 5), bool))[0, 0] - 4) < 0.2)
    True
    """

    def __init__(self, masks: np.ndarray, values: np.ndarray) -> None:
        self._take(masks, values)
        # Matrices this small are slower on several BLAS threads, and much slower while torch runs threads of its own.
        with threadpool_limits(1, "blas"):
            self._parameters = self._fit()
        self._condition()

    def given(self, masks: np.ndarray, values: np.ndarray) -> Self:
        """A surrogate with the same parameters, conditioned on these masks in place of its own.

        Args:
            masks, values: As for the constructor.
        """
        other = copy.copy(self)
        other._take(masks, values)
        other._condition()
        return other

    def _take(self, masks: np.ndarray, values: np.ndarray) -> None:
        self._masks = torch.from_numpy(np.asarray(masks, dtype=np.float64))
        values = np.asarray(values, dtype=np.float64)
        self.steps, self.players = values.shape[1], self._masks.shape[1]
        targets = np.concatenate([values, normal_scores(values)], axis=1)
        self._mean, self._scale = targets.mean(0), targets.std(0)
        self._scale[self._scale == 0] = 1.0
        self._targets = torch.from_numpy(((targets - self._mean) / self._scale).T)  # [output, mask]

    def _condition(self) -> None:
        """Compute the weights of the posterior mean, K^-1 y, ``[output, mask]``."""
        with threadpool_limits(1, "blas"):
            self._weights = torch.stack([solved(self._factor(o), self._targets[o]) for o in range(len(self._targets))])

    def _parameters_of(self, output: int) -> dict[str, Tensor]:
        """The parameters of one output, as `kernel` takes them."""
        return {name: self._parameters[name][output] for name in PARAMETERS}

    def _factor(self, output: int) -> np.ndarray:
        """The lower Cholesky factor of the covariance of one output's measured values, ``[mask, mask]``."""
        p = self._parameters_of(output)
        covariance = kernel(self._masks, self._masks, p)
        covariance.diagonal().add_(p["noise"].exp() + JITTER)
        return factorised(covariance)

    def predict(self, masks: np.ndarray) -> np.ndarray:
        """Predicted values of masks bool ``[mask, player]``, in nats, float64 ``[mask, step]``."""
        return self._outputs(masks)[:, : self.steps]

    def score(self, masks: np.ndarray) -> np.ndarray:
        """Predictions for ranking masks bool ``[mask, player]``, float64 ``[mask, step]``: the mean of the predicted value and the
        predicted normal score, the latter scaled to nats."""
        return self._scored(self._outputs(masks))

    def _scored(self, out: np.ndarray) -> np.ndarray:
        """Scores ``[mask, step]`` from the outputs in their own units, ``[mask, 2 * step]``."""
        value, normal_score = out[:, : self.steps], out[:, self.steps :]
        return (value + self._mean[: self.steps] + self._scale[: self.steps] * normal_score) / 2

    def posterior(self, masks: np.ndarray, step: int) -> np.ndarray:
        """Posterior covariance of the values at one step of masks bool ``[mask, player]``, nats squared, ``[mask, mask]``."""
        queried = torch.from_numpy(np.asarray(masks, dtype=np.float64))
        p = self._parameters_of(step)
        with threadpool_limits(1, "blas"):
            known = solve_triangular(
                self._factor(step), kernel(self._masks, queried, p).numpy(), lower=True, check_finite=False
            )
            covariance = kernel(queried, queried, p).numpy() - known.T @ known
        return np.asarray(covariance * self._scale[step] ** 2)

    def left_out(self, groups: Sequence[np.ndarray]) -> np.ndarray:
        """Scores, as from `score`, of measured masks, each predicted from the masks outside its group.

        Args:
            groups: Numbers of the masks of each group, int ``[mask]``.

        Returns:
            In the order of the groups, ``[mask, step]``.
        """
        out = np.empty((sum(map(len, groups)), len(self._targets)))
        with threadpool_limits(1, "blas"):
            for o, (weights, target) in enumerate(zip(self._weights.numpy(), self._targets.numpy(), strict=True)):
                inverse = lapack.dpotri(self._factor(o), lower=1, overwrite_c=1)[0]  # the lower triangle
                predicted = []
                for group in groups:
                    block = np.tril(inverse[np.ix_(group, group)])
                    block += np.tril(block, -1).T
                    predicted.append(target[group] - np.linalg.solve(block, weights[group]))
                out[:, o] = np.concatenate(predicted)
        return self._scored(out * self._scale + self._mean)

    def _outputs(self, masks: np.ndarray) -> np.ndarray:
        """The posterior means, ``[mask, 2 * step]``: values in nats, then normal scores."""
        queried = torch.from_numpy(np.asarray(masks, dtype=np.float64)).split(AT_ONCE)
        # One output and `AT_ONCE` masks at a time: all kernels of many masks or of a long answer together would take gigabytes.
        out = [
            torch.cat([kernel(part, self._masks, self._parameters_of(o)) @ weights for part in queried])
            for o, weights in enumerate(self._weights)
        ]
        return torch.stack(out, 1).numpy() * self._scale + self._mean

    def _fit(self) -> dict[str, Tensor]:
        """The parameters by maximum a posteriori, found by L-BFGS, ``[output, player]`` and ``[output]``; logarithms, except
        "absence_decay" (omega)."""
        masks, targets = self._masks, self._targets
        if len(masks) > FIT_ON:
            rows = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(masks))[:FIT_ON]))
            masks, targets = masks[rows], targets[:, rows]
        outputs, players = len(targets), masks.shape[1]

        def log_of(value: float, *shape: int) -> Tensor:
            return torch.full(shape, math.log(value), dtype=torch.float64, requires_grad=True)

        p = {
            "rate": log_of(0.1, outputs, players),
            "slope": log_of(0.05, outputs, players),
            "player_rate": log_of(0.1, players),
            "player_slope": log_of(0.05, players),
            "scale": log_of(1.0, outputs),
            "offset": log_of(1.0, outputs),
            "noise": log_of(0.02, outputs),
            "tail": log_of(2.0, outputs),
            "absence_decay": torch.zeros(outputs, players, dtype=torch.float64, requires_grad=True),
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
                - 0.5 * ((p["absence_decay"] / 0.3) ** 2).sum()
            )
            total = -log_evidence(masks, targets, p) - prior
            total.backward()
            return total

        with torch.enable_grad():
            optimizer.step(loss)
        return {name: value.detach() for name, value in p.items()}


def normal_scores(values: np.ndarray) -> np.ndarray:
    """The ranks within each column of ``[mask, step]`` as quantiles of the normal distribution; ties share their mean rank.

    >>> normal_scores(np.array([[5.0], [100.0], [-3.0]])).round(2).ravel().tolist()
    [0.0, 0.97, -0.97]
    """
    return norm.ppf((rankdata(values, axis=0) - 0.5) / len(values))
