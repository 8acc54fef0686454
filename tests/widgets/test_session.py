"""What panels share: choices, pictures and models, and explanations that are found again."""

from __future__ import annotations

import os

import numpy as np
import pytest
from on_screen import QUICK, shown
from PIL import Image
from small_blip2 import save_small

from stcg_nb import widgets
from stcg_nb.errors import InputError


def test_the_environment_decides_what_is_left_out(monkeypatch):
    monkeypatch.setenv("USE_MOCK_MODEL", "1")
    monkeypatch.setenv("STCG_SEED", "5")
    monkeypatch.setenv("STCG_IMAGE_PATH", "somewhere.png")
    state = widgets.start(question=None, image=None).state
    assert (state.model, state.seed, state.image) == ("mock", 5, "somewhere.png")
    assert widgets.start(model="tiny", image="scene:4").state.model == "tiny"
    monkeypatch.setenv("STCG_FORCE_REAL", "1")
    assert widgets.start().state.model == "Salesforce/blip2-flan-t5-xl"


def test_a_new_picture_forgets_what_was_chosen_in_the_old_graph(session):
    session.choose(step=1, picked="word:1", cuts=["word:1>step:1"], top=9)
    session.choose(regions="grid:2x2")
    assert (session.state.step, session.state.picked, session.state.cuts) == (1, None, ())
    session.choose(image="scene:9")
    assert (session.state.step, session.state.top) == (None, 9)


def test_a_picture_that_is_overwritten_is_another_picture(session, tmp_path):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    Image.fromarray(noise[0]).save(path)
    panel, explorer = widgets.input_panel(session), widgets.explorer(session)
    session.choose(image=str(path), question="what is this?")
    panel.ask(wait=True)
    explorer.explain(wait=True)
    first = session.current
    assert np.array_equal(first.stcg.image, noise[0]) and "Not asked" not in shown(panel)
    Image.fromarray(noise[1]).save(path)
    os.utime(path, ns=(1, 1))
    assert session.current is None and np.array_equal(session.picture(), noise[1])
    session.tell("input")
    session.tell("state")
    assert "Not asked" in shown(panel) and "have changed since" in shown(explorer)
    explorer.explain(wait=True)
    assert np.array_equal(session.current.stcg.image, noise[1])
    assert list(session.explanations.values())[-2:] == [first, session.current]


def test_a_model_that_is_trained_anew_in_its_folder_is_another_model(tmp_path):
    session = widgets.start(**{**QUICK, "model": str(save_small(tmp_path / "model"))})
    explorer = widgets.explorer(session)
    first, explained = session.model, session.current
    assert first is not None and explained is not None
    save_small(tmp_path / "model", seed=1)
    for path in (tmp_path / "model").iterdir():
        os.utime(path, ns=(1, 1))  # as a clock of whole seconds would hide it, the time is set
    assert session.model is None and session.current is None
    explorer.explain()
    assert session.model is not first
    assert not np.allclose(session.current.stcg.data["p"].values[:1], explained.stcg.data["p"].values[:1])


def test_a_choice_that_is_not_valid_leaves_the_state(session):
    before, heard = session.state, []
    session.on("state", lambda: heard.append(1))
    with pytest.raises(InputError, match="names no regions"):
        session.choose(question="what?", regions="hexagons")
    assert session.state == before and heard == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estimator": "rollout"}, "estimator rollout"), ({"masks": 40}, "masks 40"), ({"removal": "cut"}, "removal cut"),
        ({"regions": "grid:2x2"}, "regions grid:2x2"), ({"boxes": [[0, 0, 90, 120]]}, "drawn regions 1"),
    ],
)  # fmt: skip
def test_explanations_that_differ_have_labels_that_differ(session, explorer, changes, said):
    session.choose(**changes)
    explorer.explain()
    first, second = (explanation.label for explanation in session.explanations.values())
    assert said in second and said not in first
