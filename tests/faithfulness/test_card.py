"""The card on a small model of random weights: its measures anew by other means, its checks, and that a stopped run goes on."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import pearsonr, spearmanr
from small_blip2 import save_small

from stcg_nb.case import Case
from stcg_nb.cli import main
from stcg_nb.errors import InputError
from stcg_nb.faithfulness import card, card_measures
from stcg_nb.faithfulness.card import measure_card, measure_game, measure_question
from stcg_nb.faithfulness.card_measures import MEASURES
from stcg_nb.faithfulness.disturbances import disturbed
from stcg_nb.faithfulness.measures import held_out_masks
from stcg_nb.inputs.perturbations import pixel_distance
from stcg_nb.interventions.causal_graph import find_causes, pair_weights
from stcg_nb.interventions.masking import Game
from stcg_nb.interventions.surrogate import Surrogate
from stcg_nb.models import load_model
from stcg_nb.progress import Stopped, watching
from stcg_nb.registry import import_all
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import Question
from stcg_nb.stats.overlap import jaccard_top

SCENE = make_scene(10**12 + 5, n_objects=5)
QUESTION = Question("what is left of the car?", "yes", "left", (0,))
MASKS = 64
CLOSE = 5e-4  # float32 values change a little with the images that share a batch


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model of random weights that says "yes" to everything, which is right for one question in some forty."""
    model = load_model(str(save_small(tmp_path_factory.mktemp("small"))))
    model.answer = lambda images, prompt: [model.target("yes")] * len(images)
    return model


@pytest.fixture(scope="module")
def record(small):
    return measure_question(small, small.randomised(0), SCENE, QUESTION, MASKS)


@pytest.fixture(scope="module")
def game(small):
    return Game(Case.read(SCENE.image, QUESTION.text, small, answer="yes"))


def only(monkeypatch, *keys):
    """Let a card have these measures alone, for what does not depend on the others."""
    monkeypatch.setattr(card, "MEASURES", {key: MEASURES[key] for key in keys})


# The measures


def test_prediction_is_scipys_rank_correlation_on_masks_of_the_scenes_seed(record, small, game):
    masks, rate = held_out_masks(game.n_players, 150, seed=SCENE.seed)
    causes, full = find_causes(game, MASKS, seed=0), np.ones(game.n_players, bool)
    alone = np.stack([game(np.stack([full, full & (np.arange(len(full)) != i)])) for i in range(len(full))])
    effects = alone[:, 0] - alone[:, 1]  # [player, step]
    rng = np.random.default_rng(SCENE.seed)  # the draws share it, in this order
    weights, mixed, pairs = (
        rng.normal(size=effects.shape),
        rng.permutation(causes.masks),
        rng.permutation(len(causes.pairs)),
    )
    real = game(masks)
    other = Game(Case(small.randomised(0), game.case.image, game.case.prompt, game.case.answer, game.case.regions))(
        masks
    )
    predictions = {
        "lds": (causes.surrogate.score(masks), real),
        "lds_graph": (causes.predict(masks), real),
        "lds_loo": (masks @ effects, real),
        "lds_random": (masks @ weights, real),
        "lds_randomised_weights": (causes.predict(masks), other),
        "lds_shuffled_masks": (Surrogate(mixed, causes.values).score(masks), real),
    }
    for key, (predicted, values) in predictions.items():
        each = [spearmanr(predicted[rate == i, 0], values[rate == i, 0])[0] for i in range(3)]
        assert record[key] == pytest.approx(np.mean(each), abs=CLOSE), key
    assert record["seed_faithfulness"] == pytest.approx(pearsonr(causes.node[0], effects[:, 0])[0], abs=CLOSE)

    exact = []
    for i, j in causes.pairs[pairs[:60]]:
        four = np.ones((4, game.n_players), bool)
        four[1, j] = four[2, i] = four[3, [i, j]] = False
        exact.append(np.array([1, -1, -1, 1]) @ game(four)[:, 0])
    assert record["interaction_faithfulness"] == pytest.approx(
        spearmanr(causes.edge[0, pairs[:60]], exact)[0], abs=CLOSE
    )


def test_stability_is_the_overlap_of_graphs_that_are_fitted_anew(record, game):
    first = find_causes(game, MASKS, seed=0).edge[0]
    assert record["jaccard_masks"] == pytest.approx(jaccard_top(first, pair_weights(game, MASKS, seed=1)[0]), abs=CLOSE)
    graphs = [pair_weights(Game(game.case.of(p)), MASKS, seed=0)[0] for p in disturbed(game.case.image, SCENE.seed)]
    assert record["jaccard_noise"] == pytest.approx(np.mean([jaccard_top(first, other) for other in graphs]), abs=CLOSE)
    assert record["retained"] == 1


def test_removal_and_ground_truth_follow_the_node_weights(record, game):
    node, players = find_causes(game, MASKS, seed=0).node[0], game.n_players
    strongest_first = np.argsort(-node, kind="stable")
    areas = []
    for fill in ("median", "blur", "inpaint"):
        for order in (strongest_first[::-1], strongest_first):
            kept = np.ones((players + 1, players), bool)
            for removed in range(players):
                kept[removed + 1 :, order[removed]] = False
            areas.append(trapezoid(1 / (1 + np.exp(-Game(game.case, fill)(kept)[:, 0])), dx=1 / players))
    weakest, strongest = areas[::2], areas[1::2]
    assert record["srg"] == pytest.approx(np.mean(weakest) - np.mean(strongest), abs=CLOSE)

    relevance = np.maximum(node[game.n_words :], 0)
    regions, evidence = game.case.regions.masks, SCENE.objects[0].mask
    assert record["pointing"] == (evidence[regions[relevance.argmax()]].mean() > 0.5)
    inside = [evidence[region].mean() for region in regions]
    assert record["relevance_mass"] == pytest.approx(np.average(inside, weights=relevance), abs=CLOSE)
    assert 0 < record["relevance_mass"] < 1

    full = np.ones(players, bool)
    alone = [game(np.stack([full, np.arange(players) != game.n_words + i])) for i in range(len(regions))]
    strongest = regions[np.argmax([two[0, 0] - two[1, 0] for two in alone])]
    assert record["evidence_recall"] == (evidence[strongest].mean() > 0.5)
    assert record["objects_whole"] == any(
        (evidence & region).sum() >= 0.95 * evidence.sum() and evidence[region].mean() > 0.5 for region in regions
    )


def test_the_graph_predicts_and_the_baselines_do_not(record):
    assert tuple(record) == tuple(MEASURES)
    assert record["lds"] > 0.8
    weaker = [key for key, m in MEASURES.items() if key.startswith("lds") and m.role != "ours" and key != "lds_loo"]
    assert len(weaker) == 4 and record["lds"] > max(record[key] for key in weaker) + 0.3


def test_an_answer_that_rests_on_nothing_has_no_ground_truth(small, monkeypatch):
    keys = ("pointing", "relevance_mass", "relevance_rank", "evidence_recall", "objects_whole")
    only(monkeypatch, *keys)
    absent = Question(QUESTION.text, "yes", "absent", ())
    assert measure_question(small, small, SCENE, absent, 24) == dict.fromkeys(keys)


def test_a_picture_whose_answer_changes_is_left_out(small, monkeypatch):
    only(monkeypatch, "jaccard_noise", "retained")
    monkeypatch.setattr(small, "answer", lambda images, prompt: [small.target("no")] * len(images))
    assert measure_question(small, small, SCENE, QUESTION, 24) == {"jaccard_noise": None, "retained": 0.0}


@pytest.fixture
def new_measure(tmp_path, monkeypatch):
    """A measure in a file beside those of the package, for one test."""
    (tmp_path / "players.py").write_text(
        "from stcg_nb.faithfulness.card_measures import measure\n"
        '@measure("players", "how many there are", "baseline")\n'
        "def players(context):\n    return context.game.n_players\n"
    )
    monkeypatch.setattr(card_measures, "__path__", [*card_measures.__path__, str(tmp_path)])
    import_all(card_measures.__name__)
    yield "players"
    MEASURES.remove("players")
    del sys.modules[f"{card_measures.__name__}.players"]


def test_a_measure_in_a_new_file_is_the_cards_last(new_measure, small, game, monkeypatch):
    assert list(MEASURES)[-1] == new_measure
    only(monkeypatch, "retained", new_measure)
    measured = measure_game(game, small, MASKS)["measures"]
    assert measured["players"] == {"value": game.n_players, "label": "how many there are", "role": "baseline"}
    assert list(measured) == ["retained", "players"]


def test_shuffled_weights_are_the_same_numbers_elsewhere(small):
    other = small.randomised(3)
    for (name, a), (_, b) in zip(small.network.named_parameters(), other.network.named_parameters(), strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a.detach().flatten().sort().values, b.detach().flatten().sort().values, name)
    images, prompt = [SCENE.image], small.prompt("what?")
    answer = small.target("a car")
    assert np.abs(small.trace(images, prompt, answer).v - other.trace(images, prompt, answer).v).max() > 0.1


def test_disturbances_are_small_and_seeded():
    distances = [pixel_distance(SCENE.image, other) for other in disturbed(SCENE.image, 1)]
    assert all(0 < d < 0.1 for d in distances)
    np.testing.assert_array_equal(disturbed(SCENE.image, 1)[0], disturbed(SCENE.image, 1)[0])


# Many questions


def test_a_stopped_run_goes_on_and_ends_the_same(small, tmp_path, monkeypatch):
    only(monkeypatch, "seed_faithfulness", "jaccard_masks", "pointing")
    whole = measure_card(small, n=2, seed=1, masks=24)
    partial, told = tmp_path / "card.partial", []

    def stop_within_the_second_question(what: str, done: float, total: float) -> None:
        told.append(done)
        if told.count(1) == 3:
            raise Stopped("enough")

    with pytest.raises(Stopped), watching(stop_within_the_second_question):
        measure_card(small, n=2, seed=1, masks=24, partial=partial)
    assert len(partial.read_text().splitlines()) == 2, "the head and one question"
    seen = []
    with watching(lambda *state: seen.append(state)):
        assert measure_card(small, n=2, seed=1, masks=24, partial=partial) == whole
    assert seen[0] == ("card", 1, 2), "what was measured is not measured again"
    assert len({question["scene"] for question in whole["questions"]}) == 2
    assert whole["measures"]["seed_faithfulness"]["value"] == pytest.approx(1)

    complete = partial.read_bytes()
    partial.write_bytes(complete[:-9])  # a last line that was cut off is measured anew
    assert measure_card(small, n=2, seed=1, masks=24, partial=partial) == whole
    assert partial.read_bytes() == complete


@pytest.fixture
def known(monkeypatch):
    """Measures that are a function of the scene, instead of minutes of work."""

    def measured(model, shuffled, scene, question, masks):
        return {key: (scene.seed % 7) / 10 if key != "srg" else None for key in MEASURES}

    monkeypatch.setattr(card, "measure_question", measured)


def test_a_card_is_the_mean_over_questions_and_says_what_each_measure_is(small, known):
    measured = measure_card(small, n=3, seed=1, masks=32)
    values = [(question["scene"] % 7) / 10 for question in measured["questions"]]
    assert len(set(values)) > 1
    entry = measured["measures"]["lds_loo"]
    assert entry["value"] == pytest.approx(np.mean(values), abs=1e-4)
    assert min(values) <= entry["low"] < entry["value"] < entry["high"] <= max(values)
    assert (entry["n"], entry["role"]) == (3, "baseline") and "leave-one-out" in entry["label"]
    undefined = {"value": None, "low": None, "high": None, "n": 0}
    assert undefined.items() <= measured["measures"]["srg"].items()


def test_a_partial_file_of_another_run_is_refused(small, known, tmp_path, monkeypatch):
    partial = tmp_path / "card.partial"
    measure_card(small, n=2, seed=1, masks=32, partial=partial)
    with pytest.raises(InputError, match="of another run, with seed 1, not 2"):
        measure_card(small, n=2, seed=2, masks=32, partial=partial)
    only(monkeypatch, "lds", "srg")
    with pytest.raises(InputError, match="of another run, with measures"):
        measure_card(small, n=2, seed=1, masks=32, partial=partial)
    partial.write_text("{")
    with pytest.raises(InputError, match="cannot be used"):
        measure_card(small, n=2, seed=1, masks=32, partial=partial)


def test_the_command_writes_the_card_and_no_leftovers(small, tmp_path, known, monkeypatch, capsys):
    monkeypatch.setattr("stcg_nb.models.load_model", lambda name: small)
    out = tmp_path / "card.json"
    assert main(["card", "--model", "x", "--n", "3", "--masks", "32", "--json", str(out)]) == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["n"] == 3 and list(written["measures"]) == list(MEASURES)
    assert set(written["measures"]["lds"]) == {"value", "low", "high", "n", "label", "role"}
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]
    assert "lds_graph" in capsys.readouterr().out
    assert main(["card", "--model", "x", "--json", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_what_cannot_be(small, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="no weights"):
        measure_card(load_model("mock"))
    with pytest.raises(InputError, match="at least two"):
        measure_card(small, n=1)
    with pytest.raises(InputError, match="from 0 on"):
        measure_card(small, seed=-1)
    with pytest.raises(InputError, match="5 masks are too few"):
        measure_card(small, masks=5, partial=tmp_path / "card.partial")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(card, "TRIES", 2)
    with pytest.raises(InputError, match="answers none of 2"):
        measure_card(small, n=2)
