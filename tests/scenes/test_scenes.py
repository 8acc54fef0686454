"""Scenes and questions: an independent reader answers each question from the text and the objects alone."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from stcg_nb.scenes.pictures import Scene, make_scene
from stcg_nb.scenes.questions import EVALUATION_SEEDS, KINDS, MULTI_TOKEN_KINDS, Question, make_questions, sample
from stcg_nb.scenes.sprites import COLORS, SHAPES

SEEDS = range(EVALUATION_SEEDS, EVALUATION_SEEDS + 60)
SINGULAR = {**{f"{s}s": s for s in SHAPES}, "boxes": "box", "fish": "fish"}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(seed) for seed in SEEDS]


def named(text: str, scene: Scene) -> list[int]:
    """The objects that the colour and shape words of a text mean."""
    words = [SINGULAR.get(w, w) for w in re.findall(r"[a-z]+", text.lower())]
    colors, shapes = [w for w in words if w in COLORS], [w for w in words if w in SHAPES]
    assert len(colors) <= 1 and len(shapes) <= 1 and (colors + shapes or "things" in words), text
    return [
        i
        for i, o in enumerate(scene.objects)
        if (not colors or o.color == colors[0]) and (not shapes or o.shape == shapes[0])
    ]


def solve(scene: Scene, question: Question) -> str:
    """The answer, from the words of the question; an assertion fails where more than one would be fair."""
    text = question.text.lower()
    centers = [((o.box[0] + o.box[2]) / 2, (o.box[1] + o.box[3]) / 2) for o in scene.objects]
    if "left to right" in text:
        order = sorted(range(len(centers)), key=lambda i: centers[i][0])
        for i, j in pairwise(order):
            assert centers[j][0] > scene.objects[i].box[2] - 1 or centers[i][0] < scene.objects[j].box[0] + 1
        return " then ".join(phrase(scene, i) for i in order)
    there = named(text, scene)
    if re.match(r"(is there|do you see|can you see|does the)", text):
        return "yes" if there else "no"
    if re.match(r"(how many|count|what is the number)", text):
        return str(len(there))
    if not there:
        return "none"
    assert len(there) == 1, f"{text} is not clear"
    me = there[0]
    for word, (ux, uy) in {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}.items():
        if word in text:
            angles = {}
            for j, (x, y) in enumerate(centers):
                dx, dy = x - centers[me][0], y - centers[me][1]
                if j != me:
                    angles[j] = np.degrees(np.arctan2(abs(dx * uy - dy * ux), dx * ux + dy * uy))
            near = [j for j, a in angles.items() if a < 31.1]
            assert not [a for a in angles.values() if 31.1 < a < 49.9], "an object stands between two directions"
            assert len(near) <= 1
            return phrase(scene, near[0]) if near else "none"
    if re.search(r"colou?r", text):
        return scene.objects[me].color
    if "describe" in text or "look like" in text:
        return phrase(scene, me)
    return scene.objects[me].shape


def phrase(scene: Scene, i: int) -> str:
    color = scene.objects[i].color
    return f"{'an' if color == 'orange' else 'a'} {color} {scene.objects[i].shape}"


def test_every_question_has_the_answer_that_its_words_ask_for(scenes):
    asked = dict.fromkeys(KINDS, 0)
    for scene in scenes:
        for seed in range(4):
            for question in make_questions(scene, seed):
                assert solve(scene, question) == question.answer, (scene.seed, question)
                asked[question.kind] += 1
    assert min(asked.values()) >= 20, asked


def test_questions_rest_on_objects_that_they_or_their_answers_name(scenes):
    for scene in scenes:
        for question in make_questions(scene, 0):
            for i in question.rests_on:
                o = scene.objects[i]
                both = f"{question.text} {question.answer}".lower()
                assert o.color in both or o.shape in both or "things" in both
            if question.kind in ("left", "right", "above", "below"):
                answer, reference = question.rests_on
                assert scene.objects[answer].phrase == question.answer and answer != reference
            if question.answer in ("none", "no", "0"):
                assert question.rests_on == ()


def test_masks_are_exact(scenes):
    """Drawing the scene without an object changes no pixel outside its soft edge; inside, colours are the object's."""
    for scene in scenes[:20]:
        background = np.median(scene.image[~np.any([o.mask for o in scene.objects], axis=0)], axis=0)
        for o in scene.objects:
            ys, xs = np.nonzero(o.mask)
            assert o.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            body = np.median(scene.image[o.mask].astype(float), axis=0)
            distance = {name: np.abs(body - rgb).sum() for name, rgb in COLORS.items()}
            assert min(distance, key=distance.get) == o.color
            assert np.abs(body - background).max() > 40
        total = np.sum([o.mask for o in scene.objects], axis=0)
        assert total.max() == 1, "objects do not overlap"


def test_the_same_seed_is_the_same_scene():
    a, b, c = make_scene(5), make_scene(5), make_scene(6)
    assert np.array_equal(a.image, b.image) and not np.array_equal(a.image, c.image)
    assert make_questions(a, 3) == make_questions(b, 3)


def test_wording_varies_and_answers_are_balanced():
    pairs = [question for _, question in sample(330, seed=1)]
    assert [q.kind for q in pairs[: len(KINDS)]] == list(KINDS)
    text = " ".join(q.text for q in pairs)
    assert "colour" in text and "color" in text
    exists = [q.answer for q in pairs if q.kind == "exists"]
    assert 0.25 < exists.count("yes") / len(exists) < 0.75
    assert {len(q.answer.split()) for q in pairs if q.kind not in MULTI_TOKEN_KINDS} == {1}
    assert min(len(q.answer.split()) for q in pairs if q.kind in MULTI_TOKEN_KINDS) >= 3
    assert any("car" in q.text for q in pairs)


def test_samples_of_two_seeds_share_no_scene():
    first, second = ({scene.seed for scene, _ in sample(20, seed)} for seed in (0, 1))
    assert len(first) == 20 and not first & second and min(first | second) >= EVALUATION_SEEDS


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: make_scene(-1), "non-negative"),
        (lambda: make_scene(0, size=10), "between 64 and 1024"),
        (lambda: make_scene(0, n_objects=9), "between 1 and 5"),
        (lambda: make_questions(make_scene(0), 0, ["smell"]), "'smell' is unknown"),
        (lambda: next(sample(1, 0, kinds=())), "No question kinds"),
    ],
)
def test_bad_arguments(call, part):
    with pytest.raises(ValueError, match=part):
        call()
