"""Intervals of predicted weights that hold the exact weight in 95 % of cases.

The surrogate's posterior standard deviation is too small for some probes: its parameters are fitted, not known, and v jumps. So some
probes, drawn at random among those not yet run, are predicted first and then run. Their errors e are those of new probes, since the
parameters were fitted without them. With s the posterior standard deviation of such a probe and tau = median |e| at the step,

    c = WIDTH * sqrt(mean of e^2 / (s^2 + tau^2)),   half-width = c * sqrt(variance of the weight with s^2 + tau^2 for each probe)

The floor tau keeps players that seem not to matter from getting an interval of no width. Probes without two players and without three
have a c each. This is a split-conformal calibration (Lei et al. 2018, arXiv 1604.04173, section 5.2) with a parametric quantile: with
ten errors, an empirical quantile at 95 % would be their maximum. `WIDTH` was chosen on development questions and photographs: many
errors of a normal distribution would need 1.96, a few with long tails need more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stcg_nb.interventions.contrasts import Contrasts
from stcg_nb.interventions.surrogate import Surrogate

WIDTH = 3.0
SMALLEST = 1e-12  # nats squared, a variance
FEWEST = 3  # errors of one kind; with fewer, both kinds are pooled
PRIOR = 10  # errors as large as the posterior says, which are added so that few errors do not decide alone


@dataclass(frozen=True, eq=False)
class Calibration:
    """What widens the surrogate's posterior.

    Attributes:
        floor: tau, nats, ``[step]``.
        scale: Root of the mean squared error over the mean posterior variance, shrunk towards 1, ``[step]``.
        pair, triple: c for probes without two and without three players, ``[step]``; infinite where nothing was drawn.
    """

    floor: np.ndarray
    pair: np.ndarray
    triple: np.ndarray
    scale: np.ndarray

    def half_widths(self, contrasts: Contrasts, surrogate: Surrogate, known: np.ndarray) -> np.ndarray:
        """Half-widths of the links' intervals, nats, ``[step, link]``; 0 for links that were tried.

        Args:
            contrasts: The links.
            surrogate: Whose posterior is widened.
            known: Which probes have been run, bool ``[probe]``.
        """
        out = np.zeros((surrogate.steps, len(contrasts.links)))
        for t in range(surrogate.steps):
            covariance = surrogate.posterior(contrasts.probes, t)
            covariance[np.diag_indices_from(covariance)] += self.floor[t] ** 2
            factor = np.where(contrasts.links[:, 2] < 0, self.pair[t], self.triple[t])
            deviation = contrasts.deviation(covariance, known)
            out[t] = np.where(deviation > 0, factor, 0) * deviation
        return out


def calibrate(errors: np.ndarray, deviations: np.ndarray, triple: np.ndarray) -> Calibration:
    """Calibrate from probes that were predicted before they were run.

    Args:
        errors: Measured less predicted value, nats, ``[probe, step]``.
        deviations: Posterior standard deviations, nats, ``[probe, step]``.
        triple: Which probes lack three players, bool ``[probe]``; the others lack two.

    >>> always = calibrate(np.full((50, 1), 2.0), np.zeros((50, 1)), np.arange(50) % 2 > 0)
    >>> always.floor.tolist(), always.pair.round(2).tolist()
    ([2.0], [3.0])
    """
    steps = errors.shape[1]
    if not len(errors):
        return Calibration(np.zeros(steps), np.full(steps, np.inf), np.full(steps, np.inf), np.ones(steps))
    floor = np.median(np.abs(errors), axis=0)
    scaled = errors**2 / np.maximum(deviations**2 + floor**2, SMALLEST)
    kinds = [scaled[~triple], scaled[triple]]
    pair, three = (_factor(kind if len(kind) >= FEWEST else scaled) for kind in kinds)
    ratio = (errors**2).mean(0) / np.maximum((deviations**2).mean(0), SMALLEST)
    scale = np.sqrt((len(errors) * ratio + PRIOR) / (len(errors) + PRIOR))
    return Calibration(floor, pair, three, scale)


def _factor(scaled: np.ndarray) -> np.ndarray:
    """c of each step, ``[step]``, from squared errors as multiples of their expected squares, ``[probe, step]``."""
    return np.asarray(WIDTH * np.sqrt(scaled.mean(0)))
