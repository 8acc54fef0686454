"""Findings against hand-computed and simulated cases: corrections, tests, verdicts, what is written and read again."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stcg_nb.errors import InputError
from stcg_nb.stats.comparisons import (
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    against_orders,
    between,
    holm,
    paired,
)
from stcg_nb.study.findings import FAMILY, conclude, corrected, load_finding, p_text, save_finding


def comparison(low, high, p=0.0001, n=100, **more):
    return Comparison("x", (low + high) / 2, low, high, p, n, **more)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_slow_definition(p):
    """Adjusted p_i is the largest (m - rank_j) p_j over all j that are not larger."""
    slow = []
    order = sorted(range(len(p)), key=lambda i: p[i])
    for i in range(len(p)):
        place = order.index(i)
        slow.append(min(1.0, max((len(p) - k) * p[order[k]] for k in range(place + 1))))
    np.testing.assert_allclose(holm(p), slow)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_nothing_and_bonferroni(p):
    assert all(a <= b + 1e-12 and b <= min(1, a * len(p)) + 1e-12 for a, b in zip(p, holm(p), strict=True))


def test_the_paired_test_is_that_of_all_sign_flips():
    values = np.array([0.5, 1.0, -0.2, 0.8, 0.3, 0.9])
    exact = np.mean([np.dot(s, values) >= values.sum() - 1e-9 for s in product((-1, 1), repeat=len(values))])
    assert paired("x", values, np.arange(6)).p == pytest.approx(exact, abs=0.01)


def test_signs_of_an_image_flip_together():
    """Ten questions on two images are two flips, not ten: no p-value below a quarter."""
    assert paired("x", np.ones(10), np.repeat([0, 1], 5)).p == pytest.approx(0.25, abs=0.02)


def test_below_is_above_mirrored():
    values = np.random.default_rng(0).normal(0.3, 0.2, 40)
    up = paired("x", values, np.arange(40), null=0.2, least=0.05)
    down = paired("x", -values, np.arange(40), null=-0.2, side="below", least=0.05)
    assert up.p == down.p
    assert (up.low, up.high) == pytest.approx((-down.high, -down.low), abs=0.01)
    for p in (0.001, 1.0):
        assert up.verdict(p) == down.verdict(p)


def test_p_values_are_uniform_where_there_is_nothing():
    rng = np.random.default_rng(0)
    p = [paired("x", rng.normal(size=30), np.arange(30)).p for _ in range(60)]
    assert 0.3 < np.mean(np.array(p) < 0.5) < 0.7
    assert np.mean(np.array(p) < 0.05) < 0.15


def test_questions_without_a_value_are_left_out():
    c = paired("x", np.array([1.0, np.nan, 1.0]), np.arange(3))
    assert (c.n, c.effect) == (2, 1.0)
    nothing = paired("x", np.array([np.nan, np.nan]), np.arange(2))
    assert (nothing.n, nothing.p, nothing.verdict(0.0)) == (0, 1.0, UNDECIDED)
    assert json.dumps(conclude("H1", [nothing], {}).as_dict(), allow_nan=False)


def test_two_groups():
    rng = np.random.default_rng(0)
    values, first = rng.normal(size=80), np.arange(80) < 30
    same = between("x", values, np.arange(80), first)
    apart = between("x", values + 2 * first, np.arange(80), first)
    assert same.p > 0.05 and apart.p == pytest.approx(1e-4)
    assert same.low < 0 < same.high and apart.low > 1
    assert apart.effect == pytest.approx(values[:30].mean() + 2 - values[30:].mean())


@pytest.mark.parametrize(
    ("images", "first", "what"),
    [([0, 1], [True, True], "is empty"), ([0, 0], [True, False], "in both groups")],
)
def test_groups_that_cannot_be_compared(images, first, what):
    with pytest.raises(InputError, match=what):
        between("x", np.zeros(2), np.array(images), np.array(first))


def test_steps_in_another_order():
    """Twelve answers, each with its best order of six by chance 1/6: only all together are they unlikely."""
    orders = [np.array([1.0, 0, 0, 0, 0, 0])] * 12
    assert against_orders("x", np.ones(12), np.arange(12), orders).p == pytest.approx(1e-4)
    assert against_orders("x", np.full(12, 0.0), np.arange(12), orders).p == 1.0


@pytest.mark.parametrize(
    ("made", "p", "verdict"),
    [
        (comparison(0.1, 0.5), 0.01, SUPPORTED),
        (comparison(0.1, 0.5), 0.06, UNDECIDED),
        (comparison(-0.1, 0.5), 0.01, UNDECIDED),
        (comparison(-0.5, -0.1), 0.9, NOT_SUPPORTED),
        (comparison(0.01, 0.05, least=0.1), 0.001, NOT_SUPPORTED),
        (comparison(0.01, 0.15, least=0.1), 0.001, SUPPORTED),
        (comparison(0.2, 0.4, null=0.5, side="below"), 0.01, SUPPORTED),
        (comparison(0.6, 0.8, null=0.5, side="below"), 0.9, NOT_SUPPORTED),
        (comparison(math.nan, math.nan), 0.01, UNDECIDED),
        (comparison(0.1, 0.5, n=9), 0.01, UNDECIDED),
        (comparison(-0.5, -0.1, n=9), 1.0, UNDECIDED),
    ],
)
def test_verdicts(made, p, verdict):
    assert made.verdict(p) == verdict


def test_a_claim_is_as_strong_as_its_weakest_comparison():
    strong, weak, against = comparison(0.2, 0.4), comparison(-0.1, 0.3, p=0.2), comparison(-0.4, -0.2, p=0.99)
    assert conclude("H1", [strong, strong], {}).verdict == SUPPORTED
    assert conclude("H1", [strong, weak], {}).verdict == UNDECIDED
    finding = conclude("H1", [strong, weak, against], {})
    assert (finding.verdict, finding.weakest, finding.p) == (NOT_SUPPORTED, against, 0.99)
    with pytest.raises(InputError, match="valid are H1"):
        conclude("H9", [strong], {})
    with pytest.raises(InputError, match="at least one"):
        conclude("H1", [], {})


def test_correction_over_the_study_can_only_help():
    alone = [conclude(key, [comparison(0.2, 0.4, p=0.01 * (i + 1))], {}) for i, key in enumerate(FAMILY)]
    together = corrected(alone)
    assert alone[0].p_corrected == pytest.approx(0.07)
    assert all(b.p_corrected <= a.p_corrected for a, b in zip(alone, together, strict=True))
    assert [f.p_corrected for f in together] == pytest.approx(holm([f.p for f in alone]))


def test_what_is_written_is_read_again(tmp_path):
    finding = conclude("H2", [comparison(0.25, 0.5, unit="nats", least=0.125)], {"model": "tiny", "seed": 0})
    path = save_finding(finding, tmp_path)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert {"effect", "low", "high", "n", "p_corrected", "verdict"} <= set(written)
    assert written["verdict"] == finding.verdict
    assert load_finding(path) == finding
    for bad in ("{", "[]", '{"key": "H2"}'):
        path.write_text(bad)
        with pytest.raises(InputError, match="is no finding"):
            load_finding(path)


def test_what_is_printed_has_everything():
    text = conclude("H3", [comparison(0.204, 0.4, unit="nats")], {}).text()
    for part in ("H3", FAMILY["H3"], "0.30 nats [0.20, 0.40]", "n = 100", "VERDICT: supported"):
        assert part in text
    assert [p_text(p) for p in (0.00012, 0.0012, 0.05)] == ["< 0.001", "0.001", "0.05"]


def test_of_equal_p_values_the_one_nearer_to_the_limit_decides():
    far, near = comparison(0.8, 0.9), comparison(0.2, 0.4)
    assert conclude("H1", [far, near], {}).weakest is near
    assert comparison(-1.0, -1.0).distance == -math.inf and comparison(0.0, 0.0).distance == 0
    assert comparison(0.2, 0.4, null=0.5, side="below").distance == pytest.approx(2)
    assert comparison(math.nan, math.nan).distance == 0
