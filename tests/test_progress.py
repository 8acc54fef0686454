"""Long work tells whoever watches, and ends when the watcher says so."""

from __future__ import annotations

import numpy as np
import pytest

from stcg_nb import load_model
from stcg_nb.attention.knockout import cut_effects
from stcg_nb.case import Case
from stcg_nb.inputs.regions import make_regions
from stcg_nb.interventions.masking import Game
from stcg_nb.progress import Stopped, progress, say, watching, without_bars


@pytest.fixture(scope="module")
def game():
    model, image = load_model("mock"), np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    prompt = model.prompt("what is this?")
    return Game(Case(model, image, prompt, model.answer([image], prompt)[0], make_regions(image, "grid:3x3")))


def test_a_bar_inside_another_reports_the_outer_one():
    seen = []
    with watching(lambda *state: seen.append(state)), progress("outer", 2, "part") as outer:
        with progress("inner", 10, "row") as inner:
            inner(5)
        outer(1)
    assert seen == [("outer", 0, 2), ("outer", 0, 2), ("outer", 0, 2), ("outer", 1, 2)]


def test_nobody_is_told_outside_the_block(game):
    seen = []
    with watching(lambda *state: seen.append(state)):
        game(np.ones((3, game.n_players), bool))
    told = len(seen)
    game(np.ones((3, game.n_players), bool))
    assert len(seen) == told > 0
    assert seen[-1] == ("masks", 3, 3)


def test_what_the_watcher_raises_ends_the_work_at_the_next_step(game):
    masks = np.random.default_rng(0).random((500, game.n_players)) < 0.5
    done = []

    def watcher(what: str, so_far: float, total: float) -> None:
        done.append(so_far)
        if so_far >= 100:
            raise Stopped("enough")

    with pytest.raises(Stopped), watching(watcher):
        game(masks)
    assert max(done) < 200


def test_the_watcher_changes_no_number(game):
    masks = np.random.default_rng(1).random((70, game.n_players)) < 0.5
    with watching(lambda *state: None):
        watched = game(masks)
    np.testing.assert_array_equal(watched, game(masks))


def test_cutting_tells_too():
    seen = []
    with watching(lambda *state: seen.append(state)):
        cut_effects(Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock"), "step_word")
    assert seen[-1] == ("step_word", 9, 9)


def test_what_an_earlier_run_has_done_counts():
    seen = []
    with watching(lambda *state: seen.append(state)), progress("questions", 5, "question", done=3) as advance:
        advance(1)
    assert seen == [("questions", 3, 5), ("questions", 4, 5)]


def test_inner_bars_are_hidden_but_watched(monkeypatch, capsys):
    monkeypatch.setattr("stcg_nb.progress.tqdm", lambda **_: pytest.fail("a bar was shown"))
    with without_bars(), progress("inner", 2, "row") as advance:
        advance(2)
    seen = []
    with watching(lambda *state: seen.append(state)), without_bars(), progress("inner", 2, "row") as advance:
        advance(2)
    assert seen == [("inner", 0, 2), ("inner", 2, 2)]


def test_a_sentence_stands_on_a_line_of_its_own_above_the_bar(capsys):
    with progress("questions", 5, "question") as advance:
        advance(1)
        say("Skipped question 3: no picture.")
    said = capsys.readouterr()
    assert said.out == "" and "Skipped question 3: no picture.\n" in said.err
