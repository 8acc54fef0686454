"""The shown code makes what the panels show."""

from __future__ import annotations

import numpy as np
import pytest
from on_screen import canvases, control, copied, link_between, said, shown

from stcg_nb import widgets
from stcg_nb.widgets.code import code, command
from stcg_nb.widgets.state import State


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 1, "top": 5},
        {"links": "alignment", "site": "cross", "layer": 1, "head": 0, "picked": "word:1"},
        {"boxes": [[0, 0, 90, 120], [90, 0, 256, 60]]},
        {"image": "perturbed:gaussian_noise:0.5:0:scene:3", "regions": "slic"},
        {"masks": "auto", "fills": ["blur", "mean"]},
        {"masks": 40, "links": "counterfactual", "min_effect": 0.2, "removal": "mean", "estimator": "rollout"},
    ],
)
def test_the_code_makes_the_same(session, changes):
    session.choose(**changes)
    explorer = widgets.explorer(session)
    if "step" in changes:
        explorer.cut(link_between(explorer, "word", "step"))
        explorer.cut(link_between(explorer, "region", "step"))
    assert not said(explorer)
    made: dict = {}
    exec(code(session.state), made)
    assert made["stcg"].data.drop_attrs().identical(explorer.graph.data.drop_attrs())
    assert made["svg"] == explorer.svg()
    if "step" in changes:
        np.testing.assert_array_equal(made["without"].v_after, explorer.cut_found.v_after)
        answer = made["without"].new_answer.text if made["without"].flipped else "stays the same"
        assert answer in shown(explorer)


@pytest.mark.parametrize(
    "changes",
    [
        {"question": "what is red?"}, {"image": "scene:9"}, {"masks": 40}, None,
        {"image": "scene:9", "boxes": [[0, 0, 90, 120]]},
    ],
)  # fmt: skip
def test_the_code_of_a_comparison_makes_both_and_their_difference(session, changes):
    panel, explorer = widgets.compare(session), widgets.explorer(session)
    if changes is None:
        control(panel, "Perturbed by").value = "color_shift"
        panel.explain_perturbed()
    else:
        session.choose(**changes)
        explorer.explain()
    control(panel, "Links").value = "alignment"
    control(panel, "Show code").value = True
    made: dict = {}
    exec(*copied(panel), made)
    for one, other in ((made["first"], panel.difference.first), (made["second"], panel.difference.second)):
        assert one.data.drop_attrs().identical(other.data.drop_attrs())
    assert made["found"].changes == panel.difference.changes and made["found"].changes
    assert made["svg"] == canvases(panel)[2].svg


def test_the_shown_code_is_that_of_the_state(session):
    panel = widgets.save_panel(session)
    session.choose(question="what is red?", step=0)
    control(panel, "Show code").value = True
    python, notebook, choices = copied(panel)
    assert python == code(session.state) and "what is red?" in python
    assert notebook == command(session.state)
    assert State.from_json(choices) == session.state
