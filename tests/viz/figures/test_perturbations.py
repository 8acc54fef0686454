"""The panel shows each perturbation's picture and numbers."""

from __future__ import annotations

import numpy as np
from read_figure import seen
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.perturbations import perturbation_panel
from stcg_nb.viz.theme import OPPOSES


def test_the_panel_gives_each_perturbations_numbers():
    stcg = STCG(sample_dataset())
    figure, data = perturbation_panel(stcg), stcg.data
    delta_w, delta_p = (t for t in figure.data if t.type == "bar")
    np.testing.assert_allclose(delta_w.y, data["delta_w"].values, atol=1e-6)
    np.testing.assert_allclose(delta_p.y, data["delta_p"].values, atol=1e-6)
    assert [c == OPPOSES for c in delta_p.marker.color] == data["flipped"].values.tolist()
    assert [s == "/" for s in delta_p.marker.pattern.shape] == data["flipped"].values.tolist()
    (ticks,) = (a.ticktext for a in figure.select_xaxes() if a.ticktext and a.ticktext[0])
    for k, text in enumerate(ticks):
        assert seen(text).startswith(str(data["perturbation"].values[k]).replace("_", " ", 1))
        assert ("→" in text) == bool(data["flipped"].values[k])
        assert f"distance {float(data['pixel_distance'][k]):.2f}" in text
    assert len(figure.layout.images) == len(ticks) + 1
    for row, trace in (("yaxis", delta_w), ("yaxis", delta_p)):
        low, high = getattr(figure.layout, trace.yaxis.replace("y", row)).range
        assert low <= min(0, *trace.y) and max(0, *trace.y) <= high
