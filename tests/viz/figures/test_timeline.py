"""The timeline shows each token's numbers, and how the answer's order compares with others."""

from __future__ import annotations

import numpy as np
import pytest
from read_figure import seen
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.timeline import timeline


def test_the_timeline_gives_each_steps_numbers():
    stcg = STCG(sample_dataset())
    figure = timeline(stcg)
    for trace, variable in zip(figure.data, ("p", "visual_reliance", "entropy", "js_previous"), strict=True):
        for shown, value in zip(trace.y, stcg.data[variable].values, strict=True):
            assert shown is None if np.isnan(value) else shown == pytest.approx(value, abs=1e-4)
    (ticks,) = {tuple(a.ticktext) for a in figure.select_xaxes()}
    assert ticks == stcg.steps


def test_the_caption_compares_the_order_of_three_tokens_or_more():
    def caption(answer: str) -> str:
        dataset = sample_dataset(answer=answer)
        dataset.attrs.update(order_p=0.25, persistence_p=0.5, reliance_trend_p=0.75, entropy_trend_p=1.0, orders=6)
        (note,) = (a.text for a in timeline(STCG(dataset)).layout.annotations if "Jensen" in a.text)
        return seen(note)

    assert "Among 6 orders of the same tokens: links of neighbours closer, p = 0.25" in caption("a red car")
    assert "strongest effects last, p = 0.50; trend of reliance, p = 0.75; of spread, p = 1.00." in caption("a red car")
    assert "orders" not in caption("red car")


def test_the_names_of_many_tokens_are_slanted():
    few, many = (timeline(STCG(sample_dataset(answer="t " * n))).layout.xaxis4.tickangle for n in (12, 13))
    assert (few, many) == (0, -60)
