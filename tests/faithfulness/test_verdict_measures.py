"""The card's measures of verdicts, by hand on made-up attention and effects."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from stcg_nb.attention.alignment import Alignment
from stcg_nb.faithfulness.card_measures.verdicts import first_hidden, linked_matters, matters_linked
from stcg_nb.interventions.verdicts import NO, UNCLEAR, YES


def context(effects, words, regions, word_attention, region_attention):
    """One step. Links between words and regions are in no measure."""
    none = np.zeros((len(words), len(regions)))
    return SimpleNamespace(
        left_out=SimpleNamespace(effects=np.array([effects])),
        attended=Alignment(none, np.array([regions]), np.array([words])),
        attention=Alignment(none, np.array([region_attention]), np.array([word_attention])),
    )


def test_agreement_in_both_directions():
    """Of three linked edges two matter; of four that matter two are linked."""
    made = context([3, 0.4, -2, 0.1, -0.6, 0.7], [YES, YES, NO], [NO, YES, UNCLEAR], [3, 2, 1], [1, 2, 1])
    assert linked_matters(made) == pytest.approx(2 / 3)
    assert matters_linked(made) == pytest.approx(2 / 4)


def test_what_is_attended_most_and_called_hidden_is_counted():
    """Of the two words and the region that are attended most, one word has no effect; the other is called hidden."""
    made = context([2.0, 0.1, 3, -2, 0], [NO, NO, NO], [UNCLEAR, NO], [2, 2, 1], [5, 1])
    assert first_hidden(made) == 1 / 2


def test_nothing_to_count_is_not_defined():
    made = context([0.1, 0.2], [NO], [UNCLEAR], [1], [1])
    assert all(math.isnan(measure(made)) for measure in (linked_matters, matters_linked, first_hidden))
