"""Two explanations beside each other."""

from __future__ import annotations

from on_screen import canvases, control, shown

from stcg_nb import widgets


def test_two_explanations_are_compared(session, explorer):
    panel = widgets.compare(session)
    assert panel.difference is None and "Nothing to compare" in shown(panel)
    control(panel, "Perturbed by").value = "gaussian_noise"
    panel.explain_perturbed()
    found = panel.difference
    assert found.first is explorer.explanation.stcg
    assert session.state.image == "scene:3"
    assert len(found.matched) == len(found.first.to_networkx())
    assert len({canvas.svg for canvas in canvases(panel) if canvas.svg.startswith("<svg")}) == 3
    assert found.second.answer in shown(panel)
    session.choose(question="what is red?")
    explorer.explain()
    assert panel.difference.first is found.second and panel.difference.second.question == "what is red?"
