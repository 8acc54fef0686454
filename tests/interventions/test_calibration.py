"""Calibrated intervals hold the truth in 95 % of cases, also where the surrogate is far too sure."""

from __future__ import annotations

import numpy as np
import pytest

from stcg_nb.interventions.calibration import calibrate
from stcg_nb.interventions.contrasts import Contrasts


class Posterior:
    """A surrogate of one step that believes in this standard deviation."""

    steps = 1

    def __init__(self, deviation):
        self.deviation = deviation

    def posterior(self, masks, step):
        return np.diag(np.full(len(masks), self.deviation**2))


def normal(rng, n):
    return rng.normal(0, 0.3, n)


def long_tailed(rng, n):
    return rng.standard_t(3, n) * 0.3


@pytest.mark.parametrize("draw", [normal, long_tailed])
@pytest.mark.parametrize("believed", [0.01, 0.1, 1.0])
def test_intervals_hold_the_truth(believed, draw):
    """Errors are of the size of 0.3; the surrogate believes in thirty times less, or three times more."""
    contrasts = Contrasts(np.ones(12), paired=12, tripled=0)
    known = (~contrasts.probes).sum(1) < 2
    rng = np.random.default_rng(0)
    held = []
    for _ in range(200):
        errors = draw(rng, (12, 1))
        calibration = calibrate(errors, np.full((12, 1), believed), np.zeros(12, dtype=bool))
        half = calibration.half_widths(contrasts, Posterior(believed), known)[0]
        held.append((np.abs(draw(rng, len(half))) <= half).mean())
    assert 0.93 <= np.mean(held) <= 0.99


def test_pairs_and_triples_have_a_factor_each_unless_there_are_too_few():
    errors = np.concatenate([np.full((6, 1), 1.0), np.full((6, 1), 4.0)])
    triple = np.arange(12) >= 6
    each = calibrate(errors, np.ones((12, 1)), triple)
    assert each.triple[0] == pytest.approx(4 * each.pair[0])
    pooled = calibrate(errors[:8], np.ones((8, 1)), triple[:8])
    assert pooled.triple[0] == pytest.approx(3 * np.sqrt((6 * 1 / 2 + 2 * 16 / 2) / 8))  # the median error is 1
    assert pooled.pair[0] == pytest.approx(3 * np.sqrt(1 / 2))


def test_nothing_checked_leaves_everything_open_but_what_was_tried():
    contrasts = Contrasts(np.ones(4), paired=4, tripled=0)
    calibration = calibrate(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0, dtype=bool))
    known = np.arange(len(contrasts.probes)) <= 5
    half = calibration.half_widths(contrasts, Posterior(1.0), known)[0]
    assert half[0] == 0 and np.isinf(half[1:]).all()


def test_few_errors_change_the_scale_little_and_many_decide_it():
    for number, expected in ((0, 1.0), (10, np.sqrt((10 * 9 + 10) / 20)), (1000, 3.0)):
        calibration = calibrate(np.full((number, 1), 3.0), np.ones((number, 1)), np.zeros(number, dtype=bool))
        assert calibration.scale[0] == pytest.approx(expected, rel=0.02)
