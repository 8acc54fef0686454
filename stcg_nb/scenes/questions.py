"""Questions about scenes, with their answers and the objects that each answer rests on.

The objects that an answer rests on (`Question.rests_on`) are the ground truth for explanations. Only questions with one clear
answer are asked:

* a referring phrase ("the red thing", "the car") fits exactly one object, unless the question is about something absent;
* a question about a direction needs exactly one object clearly in that direction (within about 31° of it), and no other object
  that is less than about 60° off;
* a description from left to right needs separate columns: no object reaches the centre of its neighbour.

The kinds of question are `KINDS`. Everything is a pure function of its seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stcg_nb.scenes.pictures import Scene, make_scene
from stcg_nb.scenes.sprites import COLORS, SHAPES
from stcg_nb.scenes.wording import (
    CAPTION_TEXTS,
    COLOR_TEXTS,
    COUNT_TEXTS,
    DESCRIBE_TEXTS,
    DIRECTION_TEXTS,
    EXISTS_TEXTS,
    OBJECT_TEXTS,
    noun_phrase,
)

KINDS = (
    "color", "object", "exists", "count", "left", "right", "above", "below", "describe", "caption", "absent",
)  # fmt: skip
"""The kinds of question, in the order in which reports list them."""

MULTI_TOKEN_KINDS = ("left", "right", "above", "below", "describe", "caption")
"""The kinds whose answers take several tokens ("a red car")."""

DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Unit vectors of the kinds that ask about a direction: x to the right, y down."""

EVALUATION_SEEDS = 10**12
"""The first scene seed for evaluation; training uses smaller seeds only."""


@dataclass(frozen=True)
class Question:
    """A question with one clear answer.

    Attributes:
        text, answer: The question and its answer.
        kind: One of `KINDS`.
        rests_on: Indices into `Scene.objects` of the objects that the answer rests on; empty where the answer rests on the
            absence of something.
    """

    text: str
    answer: str
    kind: str
    rests_on: tuple[int, ...]


def make_questions(scene: Scene, seed: int, kinds: Sequence[str] = KINDS) -> list[Question]:
    """One question of each kind for which the scene has a clear answer.

    Args:
        scene: The scene.
        seed: Seeds the choice of objects, answers and wordings.
        kinds: Some of `KINDS`.

    Returns:
        At most one question per kind, in the order of ``kinds``; a kind without a clear question is left out.

    Raises:
        ValueError: If a kind is unknown.

    Example:
        >>> [q.kind for q in make_questions(make_scene(7), 0, ["color", "count"])]
        ['color', 'count']
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"Question kind {unknown[0]!r} is unknown; the kinds are {', '.join(KINDS)}.")
    rng = np.random.default_rng((scene.seed, seed, 2))
    questions = (_ask(scene, kind, rng) for kind in kinds)
    return [question for question in questions if question is not None]


def sample(n: int, seed: int, kinds: Sequence[str] = KINDS, size: int = 256) -> Iterator[tuple[Scene, Question]]:
    """Fresh scenes with one question each; the kinds take turns.

    Args:
        n: Number of questions.
        seed: Different seeds share no scene, and no seed shares a scene with the training data.
        kinds: Some of `KINDS`; each gets ``n / len(kinds)`` questions.
        size: Side of the pictures in pixels.

    Yields:
        ``n`` pairs of a scene and a question about it.

    Raises:
        ValueError: If ``kinds`` is empty or holds an unknown kind.

    Example:
        >>> [question.kind for _, question in sample(3, seed=0, kinds=("color", "left"))]
        ['color', 'left', 'color']
    """
    if not kinds:
        raise ValueError(f"No question kinds were given; the kinds are {', '.join(KINDS)}.")
    draws = iter(range(10**9))
    for i in range(n):
        while True:
            scene = make_scene(EVALUATION_SEEDS + seed * 10**9 + next(draws), size)
            questions = make_questions(scene, 0, [kinds[i % len(kinds)]])
            if questions:
                yield scene, questions[0]
                break


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _matching(scene: Scene, color: str | None, shape: str | None) -> tuple[int, ...]:
    """Indices of the objects of a colour and a shape; None matches any."""
    return tuple(
        i for i, o in enumerate(scene.objects) if color in (None, o.color) and shape in (None, o.shape)
    )  # fmt: skip


def _references(scene: Scene, i: int) -> list[str]:
    """The noun phrases, without article, that fit object i and no other."""
    o = scene.objects[i]
    options = [(o.color, o.shape), (None, o.shape), (o.color, None)]
    return [noun_phrase(*option) for option in options if _matching(scene, *option) == (i,)]


def _ask(scene: Scene, kind: str, rng: np.random.Generator) -> Question | None:
    if kind == "color":
        return _ask_attribute(scene, rng, kind, COLOR_TEXTS)
    if kind == "object":
        return _ask_attribute(scene, rng, kind, OBJECT_TEXTS)
    if kind == "exists":
        return _ask_exists(scene, rng)
    if kind == "count":
        return _ask_count(scene, rng)
    if kind in DIRECTIONS:
        return _ask_direction(scene, kind, rng)
    if kind == "describe":
        return _ask_describe(scene, rng)
    if kind == "caption":
        return _ask_caption(scene, rng)
    return _ask_absent(scene, rng)


def _ask_attribute(scene: Scene, rng: np.random.Generator, kind: str, texts: Sequence[str]) -> Question | None:
    """Ask for the colour of the only object of its shape, or for the shape of the only object of its colour."""
    given, asked = ("shape", "color") if kind == "color" else ("color", "shape")
    unique = [
        i for i, o in enumerate(scene.objects) if _matching(scene, **{asked: None, given: getattr(o, given)}) == (i,)
    ]
    if not unique:
        return None
    i = int(rng.choice(unique))
    return Question(
        _pick(rng, texts).format(getattr(scene.objects[i], given)), getattr(scene.objects[i], asked), kind, (i,)
    )


def _ask_exists(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask whether something is there; "yes" and "no" are equally likely.

    Half of the "no" questions combine a colour and a shape that occur on different objects.
    """
    present = bool(rng.integers(2))
    while True:
        if present or rng.random() < 0.5:
            o = scene.objects[int(rng.integers(len(scene.objects)))]
            color: str | None = o.color
            shape: str | None = o.shape if present else scene.objects[int(rng.integers(len(scene.objects)))].shape
            if not present and _matching(scene, color, shape):  # that pair exists: draw another colour
                color = _pick(rng, list(COLORS))
        else:
            color, shape = _pick(rng, list(COLORS)), _pick(rng, list(SHAPES))
        form = rng.integers(3)
        color, shape = (None, shape) if form == 0 else (color, None) if form == 1 else (color, shape)
        evidence = _matching(scene, color, shape)
        if bool(evidence) == present:
            noun = noun_phrase(color, shape)
            article = "an" if noun[0] in "aeiou" else "a"
            return Question(
                _pick(rng, EXISTS_TEXTS).format(f"{article} {noun}"), "yes" if present else "no", "exists", evidence
            )


def _ask_count(scene: Scene, rng: np.random.Generator) -> Question:
    """Ask for a number of objects. All numbers that occur are equally likely, so the question does not reveal the answer."""
    by_number: dict[int, list[tuple[str | None, str | None]]] = {}
    for color in (None, *COLORS):
        for shape in (None, *SHAPES):
            if color is None or shape is None:
                by_number.setdefault(len(_matching(scene, color, shape)), []).append((color, shape))
    for o in scene.objects:
        by_number.setdefault(len(_matching(scene, o.color, o.shape)), []).append((o.color, o.shape))
    number = int(rng.choice(sorted(by_number)))
    color, shape = by_number[number][int(rng.integers(len(by_number[number])))]
    noun = noun_phrase(color, shape, plural=True)
    return Question(_pick(rng, COUNT_TEXTS).format(noun), str(number), "count", _matching(scene, color, shape))


def _in_direction(scene: Scene, i: int, kind: str) -> tuple[list[int], list[int]]:
    """Indices of the objects that lie clearly, and of those that lie arguably, in a direction from object i."""
    ux, uy = DIRECTIONS[kind]
    x, y = scene.objects[i].center
    clearly, arguably = [], []
    for j, other in enumerate(scene.objects):
        dx, dy = other.center[0] - x, other.center[1] - y
        along, across = dx * ux + dy * uy, abs(dx * uy) + abs(dy * ux)
        if along > 0 and across < 0.6 * along:
            clearly.append(j)
        elif along > 0 and across < 1.7 * along:
            arguably.append(j)
    return clearly, arguably


def _ask_direction(scene: Scene, kind: str, rng: np.random.Generator) -> Question | None:
    options = []
    for i in range(len(scene.objects)):
        clearly, arguably = _in_direction(scene, i, kind)
        references = _references(scene, i)
        if len(clearly) == 1 and not arguably and references:
            options.append((i, clearly[0], _pick(rng, references)))
    if not options:
        return None
    i, j, reference = options[int(rng.integers(len(options)))]
    text = _pick(rng, DIRECTION_TEXTS[kind]).format(reference)
    return Question(text, scene.objects[j].phrase, kind, (j, i))


def _ask_describe(scene: Scene, rng: np.random.Generator) -> Question | None:
    options = []
    for i, o in enumerate(scene.objects):
        if _matching(scene, None, o.shape) == (i,):
            options.append((i, o.shape))
        if _matching(scene, o.color, None) == (i,):
            options.append((i, f"{o.color} thing"))
    if not options:
        return None
    i, reference = options[int(rng.integers(len(options)))]
    return Question(_pick(rng, DESCRIBE_TEXTS).format(reference), scene.objects[i].phrase, "describe", (i,))


def _ask_caption(scene: Scene, rng: np.random.Generator) -> Question | None:
    order = sorted(range(len(scene.objects)), key=lambda i: scene.objects[i].center[0])
    pairs = pairwise(order)
    apart = all(
        scene.objects[j].box[0] >= scene.objects[i].center[0] and scene.objects[i].box[2] <= scene.objects[j].center[0]
        for i, j in pairs
    )
    if len(order) > 4 or not apart:
        return None
    text = " then ".join(scene.objects[i].phrase for i in order)
    return Question(_pick(rng, CAPTION_TEXTS), text, "caption", tuple(order))


def _ask_absent(scene: Scene, rng: np.random.Generator) -> Question:
    """A question about something that is not there; the answer is "none"."""
    form = int(rng.integers(4))
    if form == 0:
        empty = [
            (i, kind, refs)
            for i in range(len(scene.objects))
            for kind in DIRECTIONS
            if not any(_in_direction(scene, i, kind)) and (refs := _references(scene, i))
        ]
        if empty:
            _, kind, references = empty[int(rng.integers(len(empty)))]
            return Question(
                _pick(rng, DIRECTION_TEXTS[kind]).format(_pick(rng, references)), "none", "absent", ()
            )  # fmt: skip
    missing_colors = [c for c in COLORS if not _matching(scene, c, None)]
    missing_shapes = [s for s in SHAPES if not _matching(scene, None, s)]
    if form <= 1 and missing_colors:
        return Question(_pick(rng, OBJECT_TEXTS).format(_pick(rng, missing_colors)), "none", "absent", ())
    shape = _pick(rng, missing_shapes)
    texts = COLOR_TEXTS if form == 2 else DESCRIBE_TEXTS
    return Question(_pick(rng, texts).format(shape), "none", "absent", ())
