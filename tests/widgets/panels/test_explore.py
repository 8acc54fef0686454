"""The explorer: clicks, lists and sliders agree; looking asks for no work; work can be cancelled."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import numpy as np
from on_screen import QUICK, canvases, click, control, labels, link_between, of_kind, said, shown

from stcg_nb import widgets
from stcg_nb.widgets import session as session_module


def test_a_view_asks_for_no_work_and_the_same_choices_are_explained_once(session, monkeypatch):
    calls = []
    explain = session_module.explain
    monkeypatch.setattr(session_module, "explain", lambda *a, **k: calls.append(1) or explain(*a, **k))
    explorer = widgets.explorer(session)
    assert widgets.explorer(session) is explorer and len(calls) == 1
    trace = session.model.trace
    monkeypatch.setattr(session.model, "trace", lambda *a, **k: calls.append("trace") or trace(*a, **k))
    before = canvases(explorer)[0].svg
    for label, value in (("Token", 1), ("Strongest links", 5), ("Links", "alignment")):
        control(explorer, label).value = value
    canvases(explorer)[0].picked("word:1")
    canvases(explorer)[0].picked("region:2")
    assert canvases(explorer)[0].svg != before
    explorer.explain()
    assert calls == [1]
    session.choose(question="what is red?")
    assert len(calls) == 1 and "press Explain" in shown(explorer)
    explorer.explain()
    assert calls.count(1) == 2 and "press Explain" not in shown(explorer)


def test_other_perturbations_leave_the_graph_and_its_cuts(session, explorer):
    control(explorer, "Link").value = link_between(explorer, "word", "step")
    session.choose(perturbations=["center_mask"], strength=0.2)
    assert "The graph holds" in shown(explorer) and not control(explorer, "Cut link").disabled
    assert explorer.explanation is None  # what would be saved is not what is chosen
    explorer.cut(session.state.picked)
    assert explorer.cut_found is not None and not said(explorer)


def test_heads_and_cuts_are_kept(session, explorer, monkeypatch):
    control(explorer, "Links").value = "alignment"
    control(explorer, "Attention at").value = "cross"
    assert [label for label, _ in control(explorer, "Head").options] == ["mean", "0", "1"]
    whole = explorer.graph.data["step_region"].values
    control(explorer, "Head").value = 1
    assert not np.allclose(explorer.graph.data["step_region"].values, whole)
    control(explorer, "Links").value = "counterfactual"
    name = link_between(explorer, "word", "step")
    explorer.cut(name)
    first = explorer.cut_found
    explorer.cut(name)
    assert session.state.cuts == () and explorer.cut_found is None
    explorer.cut(name)
    assert explorer.cut_found is first


def test_click_list_and_slider_say_the_same(session, explorer):
    canvases(explorer)[0].picked("step:1")
    assert control(explorer, "Node").value == session.state.picked == "step:1"
    p = explorer.graph.data["p"].values[1]
    assert f"p: {p:.2f}" in shown(explorer)
    control(explorer, "Node").value = "region:0"
    assert session.state.picked == "region:0" and "pixels 0 to" in shown(explorer)
    canvases(explorer)[0].picked("region:0")  # once more: chosen no longer
    assert session.state.picked is None and control(explorer, "Node").value == ""
    (play,) = of_kind(explorer, "Play")
    play.value = 2
    assert (session.state.step, control(explorer, "Token").value) == (1, 1)
    link = link_between(explorer, "word", "step")
    control(explorer, "Link").value = link
    assert session.state.picked == link and not control(explorer, "Cut link").disabled
    assert f'data-pick="{link}"' in unescape(canvases(explorer)[0].svg)


def test_boxes_can_be_drawn_typed_and_cleared(session, explorer):
    x, y, w, h = explorer.explanation.drawing.picture_box
    canvases(explorer)[0].boxed((x, y, x + w / 2, y + h))
    assert session.state.boxes == ((0, 0, 128, 256),)
    canvases(explorer)[0].boxed((x - 50, y - 50, x + 1, y + 1))
    assert len(session.state.boxes) == 1 and "too small" in said(explorer)
    control(explorer, "Boxes").value = "0 0 64 64; 64 0 256 64"
    assert session.state.boxes == ((0, 0, 64, 64), (64, 0, 256, 64))
    explorer.explain()
    assert explorer.explanation.stcg.regions == ("b0", "b1", "rest")
    control(explorer, "Boxes").value = "0 0 x"
    assert "four whole numbers" in said(explorer)
    control(explorer, "Boxes").value = "0 0 999 64"
    explorer.explain()
    assert "must lie within" in said(explorer)
    click(explorer, "Clear")
    assert session.state.boxes == ()


def test_a_long_explanation_is_cancelled_and_the_panel_stays_usable(monkeypatch):
    """As a click does it: the button stops the job, the note says so, and the next explanation works."""
    monkeypatch.setattr("stcg_nb.widgets.worker.someone_watches", lambda: True)

    async def run() -> None:
        session = widgets.start(**{**QUICK, "masks": 100_000})
        explorer = widgets.explorer(session)
        while not of_kind(explorer, "FloatProgress")[0].value:
            await asyncio.sleep(0.01)
        assert re.search(r"Explaining: masks, \d+ of \d+", said(explorer))
        click(explorer, "Cancel")
        assert "Cancel" not in labels(explorer) and "Stopped" in said(explorer)
        assert explorer.explanation is None
        session.choose(masks=0)
        explorer.explain()
        while explorer.busy.running:
            await asyncio.sleep(0.01)
        assert explorer.explanation is not None and not said(explorer)
        session.close()

    asyncio.run(run())


def test_choices_made_while_it_works_make_the_result_stale_not_wrong(monkeypatch):
    monkeypatch.setattr("stcg_nb.widgets.worker.someone_watches", lambda: True)

    async def run() -> None:
        session = widgets.start(**QUICK)
        explorer = widgets.explorer(session)
        session.choose(question="what is red?")
        while explorer.busy.running:
            await asyncio.sleep(0.01)
        assert explorer.explanation is None
        assert [e.state.question for e in session.explanations.values()] != ["what is red?"]
        explorer.explain()
        while explorer.busy.running:
            await asyncio.sleep(0.01)
        assert explorer.explanation.stcg.question == "what is red?"
        session.close()

    asyncio.run(run())
