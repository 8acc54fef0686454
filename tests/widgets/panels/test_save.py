"""Saved files hold what is shown, and saved choices come back."""

from __future__ import annotations

import pytest
from on_screen import control, said, shown

from stcg_nb import widgets


def test_files_are_saved_and_the_state_comes_back(session, tmp_path, monkeypatch):
    panel, target = widgets.save_panel(session), tmp_path / "new" / "folder"
    monkeypatch.setattr("stcg_nb.widgets.panels.save.draw", lambda figure, kind: b"\x89PNG")
    panel.save(str(target))
    names = {path.name for path in target.iterdir()}
    assert names == {"state.json", "graph.png", "graph.svg", "stcg.html", "graph.graphml", "stcg.json"}
    assert (target / "graph.svg").read_text() == widgets.explorer(session).svg()
    assert all(name in shown(panel) for name in names)
    before, content = session.state, (target / "state.json").read_text()
    session.choose(question="something else?", step=None)
    panel.save(str(target))
    assert "Explain first" in said(panel)
    panel.load(content)
    assert session.state == before
    panel.load("nonsense")
    assert "no saved state" in said(panel)


@pytest.mark.parametrize("image", ["scene:x", "photo:dog", "nowhere.png"])
def test_a_state_of_a_picture_that_is_not_there_is_said(session, image):
    entered, panel = widgets.input_panel(session), widgets.save_panel(session)
    panel.load(session.state.but(image=image).to_json())
    assert image.rpartition(":")[2] in said(entered) and "role='alert'" in said(entered)
    session.choose(image="scene:4")
    assert control(entered, "Scene's seed").value == 4 and "<img" in shown(entered)


def test_a_folder_that_cannot_be_made_is_said(session, tmp_path):
    (tmp_path / "file").write_text("x")
    panel = widgets.save_panel(session)
    panel.save(str(tmp_path / "file" / "folder"))
    assert "cannot be made" in said(panel)
