"""`explain` against the same quantities computed one at a time, on the mock and on the embedded model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stcg_nb.attention.alignment import align
from stcg_nb.case import Case
from stcg_nb.errors import InputError, ModelError
from stcg_nb.explanation import explain
from stcg_nb.graph.temporal import persistence_test, trend_test
from stcg_nb.graph.trust import trust_said
from stcg_nb.inputs.fills import fill_region
from stcg_nb.inputs.perturbations import DEFAULT, PERTURBATIONS, perturb
from stcg_nb.inputs.regions import box_regions, make_regions
from stcg_nb.models import load_model
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import EVALUATION_SEEDS, make_questions

SCENE = make_scene(EVALUATION_SEEDS + 17)
QUESTION = next(q for q in make_questions(SCENE, 0) if q.kind == "describe")


@pytest.fixture(scope="module", params=["mock", "tiny"])
def model(request):
    return load_model(request.param)


@pytest.fixture(scope="module")
def stcg(model):
    return explain(SCENE.image, QUESTION.text, model, regions="slic:8", seed=3)


def test_it_says_what_was_explained(stcg, model):
    assert (stcg.question, stcg.model, stcg.synthetic) == (QUESTION.text, model.name, model.synthetic)
    assert stcg.words == tuple(QUESTION.text.rstrip("?.").split())
    assert tuple(stcg.data["perturbation"].values) == DEFAULT
    if not model.synthetic:
        assert stcg.answer == QUESTION.answer


def test_the_answer_is_scored_as_in_a_single_run(stcg, model):
    prompt = model.prompt(QUESTION.text)
    answer = model.answer([SCENE.image], prompt)[0]
    trace = model.trace([SCENE.image], prompt, answer)
    np.testing.assert_allclose(stcg.data["v"].values, trace.v[0], atol=1e-3)
    assert stcg.data.attrs["p_answer"] == pytest.approx(np.prod(trace.p[0]), abs=1e-4)


def test_effects_are_single_interventions(stcg, model):
    prompt = model.prompt(QUESTION.text)
    answer = model.answer([SCENE.image], prompt)[0]
    parts = make_regions(SCENE.image, "slic:8")
    full = model.trace([SCENE.image], prompt, answer).v[0]
    for r in range(0, parts.n, 3):
        without = model.trace([fill_region(SCENE.image, parts, [r], "median")], prompt, answer).v[0]
        np.testing.assert_allclose(stcg.data["region_effect"].values[:, r], full - without, atol=1e-3)
    for w in range(len(prompt.words)):
        keep = np.ones((1, len(prompt.words)), dtype=bool)
        keep[0, w] = False
        without = model.trace([SCENE.image], prompt, answer, keep_words=keep).v[0]
        np.testing.assert_allclose(stcg.data["word_effect"].values[:, w], full - without, atol=1e-3)


def test_perturbations_are_compared_with_the_image_as_it_is(stcg, model):
    prompt = model.prompt(QUESTION.text)
    answer = model.answer([SCENE.image], prompt)[0]
    share = Case.read(SCENE.image, QUESTION.text, model, regions="slic:8", answer=answer).patch_share
    sites = ("qformer_self", "qformer_cross", "encoder", "decoder", "cross")

    def links(image):
        maps = {s: m[0] for s, m in model.trace([image], prompt, answer, capture=sites).attention.items()}
        return align("attention", maps, model.layout(prompt, *SCENE.image.shape[:2])).word_patch @ share

    for k, name in enumerate(DEFAULT):
        changed = perturb(SCENE.image, name, seed=3)
        row = stcg.data.isel(perturbation=k)
        expected = np.abs(links(changed.image) - links(SCENE.image)).mean()
        assert float(row["delta_w"]) == pytest.approx(expected, abs=1e-6)
        assert float(row["pixel_distance"]) == changed.pixel_distance
        p = model.trace([changed.image], prompt, answer).p[0].prod()
        assert float(row["delta_p"]) == pytest.approx(p - stcg.data.attrs["p_answer"], abs=1e-3)
        said = model.answer([changed.image], prompt)[0].text
        assert str(row["perturbed_answer"].values) == said
        assert bool(row["flipped"]) == (said != stcg.answer)


def test_the_same_call_gives_the_same_graph(stcg, model):
    again = explain(SCENE.image, QUESTION.text, model, regions="slic:8", seed=3)
    for name in ("v", "region_effect", "word_region", "delta_w"):
        np.testing.assert_allclose(again.data[name].values, stcg.data[name].values, atol=1e-4)


def test_time_is_held_against_other_orders_of_the_steps(stcg):
    data = stcg.data
    effects = np.concatenate([data["word_effect"].values, data["region_effect"].values], 1)
    for found, name in (
        (persistence_test(effects, seed=3), "persistence"),
        (trend_test(data["visual_reliance"].values, seed=3), "reliance_trend"),
        (trend_test(data["entropy"].values, seed=3), "entropy_trend"),
    ):
        assert (data.attrs[name], data.attrs[f"{name}_p"]) == pytest.approx(found[:2], nan_ok=True)


@pytest.mark.parametrize("estimator", ["attention", "rollout", "gradient"])
def test_alignment_is_the_estimators_gathered_by_region(model, estimator):
    """Regions are equal blocks of patches here, so that gathering is a plain sum over them."""
    graph = explain(
        SCENE.image, QUESTION.text, model, estimator=estimator, masks=0, regions="grid:2x2", perturbations=()
    )
    prompt = model.prompt(QUESTION.text)
    answer = model.answer([SCENE.image], prompt)[0]
    if estimator == "gradient":
        maps = model.relevance(SCENE.image, prompt, answer)
    else:
        maps = {s: m[0] for s, m in model.trace([SCENE.image], prompt, answer, capture=model.sites).attention.items()}
    found = align(estimator, maps, model.layout(prompt, *SCENE.image.shape[:2]))
    rows, columns = 16, 16
    blocks = found.word_patch.reshape(-1, 2, rows // 2, 2, columns // 2).sum((2, 4)).reshape(-1, 4)
    np.testing.assert_allclose(graph.data["word_region"], blocks, atol=1e-5)
    np.testing.assert_allclose(graph.data["step_word"], found.step_word, atol=1e-5)
    assert graph.data["step_region"].values.sum() > 0
    assert graph.estimator == estimator and graph.data.sizes["perturbation"] == 0


def test_further_fills_give_the_range_of_effects_over_all(model):
    """Against an explanation made with each fill alone."""
    asked = {"regions": "grid:2x2", "perturbations": (), "masks": 32}
    both = explain(SCENE.image, QUESTION.text, model, fills=("blur", "median"), **asked)
    alone = [explain(SCENE.image, QUESTION.text, model, removal=fill, **asked).data for fill in ("median", "blur")]
    for kind in ("word", "region"):
        effects = [data[f"{kind}_effect"].values for data in alone]
        np.testing.assert_allclose(both.data[f"{kind}_effect"], effects[0], atol=1e-3)
        np.testing.assert_allclose(both.data[f"{kind}_low"], np.min(effects, 0), atol=1e-3)
        np.testing.assert_allclose(both.data[f"{kind}_high"], np.max(effects, 0), atol=1e-3)
    np.testing.assert_array_equal(alone[0]["region_low"], alone[0]["region_high"])
    assert both.trust == explain(SCENE.image, QUESTION.text, model, **asked).trust


@pytest.mark.parametrize("masks", [64, "auto"])
def test_a_model_that_always_says_the_same_has_no_trust(monkeypatch, masks):
    model = load_model("mock")
    trace = model.trace

    def always(*given, **more):
        found = trace(*given, **more)
        return replace(found, v=np.zeros_like(found.v), p=np.full_like(found.p, 0.5))

    monkeypatch.setattr(model, "trace", always)
    stcg = explain(SCENE.image, "why?", model, regions="grid:2x2", perturbations=(), masks=masks)
    assert stcg.causal and stcg.trust is None and "is not defined" in trust_said(stcg)
    assert not stcg.data["region_effect"].values.any() and not stcg.data.sizes["link"]
    assert stcg.data.attrs["trust_low"] is None and not stcg.data.sizes["size"]


def test_boxes_of_your_own_and_the_object_that_the_answer_rests_on():
    """On the embedded model, filling the object asked about must cost the answer more than filling any other object."""
    boxes = {f"{o.name} {i}": o.box for i, o in enumerate(SCENE.objects)}
    graph = explain(SCENE.image, QUESTION.text, "tiny", regions=box_regions(SCENE.image, boxes), perturbations=())
    assert graph.regions[-1] == "rest"
    assert graph.data.attrs["regions"] == "custom"
    effect = graph.data["region_effect"].values[:, :-1].sum(0)
    assert int(effect.argmax()) == QUESTION.rests_on[0]


def test_a_perturbation_of_your_own():
    from stcg_nb.inputs.perturbations import register

    register("invert_for_test", "negative")(lambda image, strength, rng: 255 - image)
    try:
        graph = explain(SCENE.image, QUESTION.text, "mock", perturbations=["invert_for_test"])
        assert graph.data["perturbation"].values.tolist() == ["invert_for_test"]
        assert "invert_for_test" in PERTURBATIONS
    finally:
        PERTURBATIONS.remove("invert_for_test")


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        ({"estimator": "shap"}, InputError, "valid are attention"),
        ({"regions": "voronoi"}, InputError, "slic"),
        ({"perturbations": ["blurr"]}, InputError, "valid are center_mask"),
        ({"strength": 2}, InputError, "strength"),
        ({"question": " "}, InputError, "empty"),
        ({"masks": "often"}, InputError, "or 'auto'"),
        ({"regions": "grid:6x6", "masks": 32}, InputError, "32 masks are too few for 1 words and 36 regions"),
        ({"image": "no/such.png"}, InputError, r"no/such\.png"),
        ({"model": "tinier"}, ModelError, "tiny"),
    ],
)
def test_bad_input_is_one_sentence(arguments, error, part):
    call = {"image": SCENE.image, "question": "why?", "model": "mock", **arguments}
    with pytest.raises(error, match=part):
        explain(**call)
