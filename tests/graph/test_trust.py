"""How far a graph can be trusted, as it is said."""

from __future__ import annotations

import pytest
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.graph.trust import Trust, fills_of, range_head, range_said, trust_said

MEANS = ": how well what was learnt predicts the model on inputs that it has not seen (1: perfectly, 0: not at all), estimated."


def graph(**attrs) -> STCG:
    dataset = sample_dataset(causal=True)
    dataset.attrs.update(attrs)
    return STCG(dataset)


@pytest.mark.parametrize(
    ("attrs", "begins"),
    [
        ({}, "Trust .92 [.87, .95] with 256 masks"),
        ({"masks_asked": "auto", "masks": 128}, "Trust .92 [.87, .95] reached with 128 masks"),
        (
            {"masks_asked": "auto", "masks": 1024, "trust": 0.81, "trust_low": -0.05, "trust_high": 0.999},
            "1,024 masks spent, trust .81 [-.05, 1.00]",
        ),
    ],
)
def test_trust_is_one_number_with_its_interval_and_what_it_took(attrs, begins):
    assert trust_said(graph(**attrs)) == f"{begins}{MEANS} The graph's own links alone: .91."


@pytest.mark.parametrize(
    ("attrs", "begins"),
    [({}, "Trust is not defined"), ({"masks_asked": "auto"}, "256 masks spent: trust is not defined")],
)
def test_trust_that_is_not_defined_says_why(attrs, begins):
    stcg = graph(trust=None, trust_low=None, trust_high=None, **attrs)
    assert stcg.trust is None
    assert trust_said(stcg) == f"{begins}, since the answer is the same whatever is removed."


def test_without_a_causal_graph_there_is_no_trust():
    stcg = STCG(sample_dataset())
    assert stcg.trust is None and trust_said(stcg) == ""


def test_trust_survives_saving(tmp_path):
    for stcg in (graph(), graph(trust=None, trust_low=None, trust_high=None)):
        again = STCG.load(stcg.save(tmp_path / "stcg.npz"))
        assert again == stcg and again.trust == stcg.trust
    assert graph().trust == Trust(0.92, 0.87, 0.95)


def test_a_link_is_exact_or_has_a_range_over_the_fills_that_were_tried():
    edge = Edge("word:0", "step:0", 0, "counterfactual", 1.0, 1.0, 1.0)
    assert range_said(edge) == "exact"
    assert range_said(edge._replace(low=-0.5, high=1.25)) == "-0.5 to +1.25"
    assert range_said(edge._replace(low=None, high=None)) == "–"
    assert fills_of(graph(removal="median", fills="blur, median, inpaint")) == ("median", "blur", "inpaint")
    assert range_head(graph(removal="median", fills="blur")) == "range over fills"
    assert range_head(graph(removal="cut", fills="")) == "tried"
