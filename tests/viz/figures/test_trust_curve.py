"""The curve of trust against the number of links."""

from __future__ import annotations

import pytest
from read_figure import seen
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.trust_curve import trust_curve


def test_the_curve_has_a_point_for_each_number_of_links_and_trust_with_its_interval():
    stcg = STCG(sample_dataset(causal=True))
    figure = trust_curve(stcg)
    band, trust, curve = figure.data
    assert (min(band.y), max(band.y)) == (stcg.trust.low, stcg.trust.high)
    assert set(trust.y) == {stcg.trust.value}
    assert list(curve.y) == pytest.approx(stcg.data["curve_lds"].values)
    assert [float(said) for said in curve.text] == pytest.approx(stcg.data["curve_lds"].values, abs=0.005)
    assert list(figure.layout.xaxis.ticktext) == [str(k) for k in stcg.data["curve_links"].values]
    low, high = figure.layout.yaxis.range
    assert low < min(*band.y, *curve.y, 0) and high > 1
    (note,) = (seen(a.text) for a in figure.layout.annotations)
    assert "Trust .92 [.87, .95] with 256 masks" in note.replace("\n", " ")


@pytest.mark.parametrize(("causal", "said"), [(False, "was made with masks=0"), (True, "Trust is not defined")])
def test_where_there_is_no_curve_a_sentence_says_why(causal, said):
    dataset = sample_dataset(causal=causal)
    if causal:
        dataset = dataset.isel(size=slice(0, 0))
        dataset.attrs.update(trust=None, trust_low=None, trust_high=None)
    figure = trust_curve(STCG(dataset))
    assert not figure.data
    assert any(said in a.text for a in figure.layout.annotations)
