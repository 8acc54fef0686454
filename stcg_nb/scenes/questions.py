"""Seeded pictures of coloured objects, with exact masks and questions whose evidence is known.

A scene is a light background with two to five objects (cars, stars, boats, …) that do not overlap. Every question about
it names, besides its answer, the objects that the answer rests on (`Question.rests_on`), so that an explanation can be
checked against the truth. Only questions with one clear answer are asked:

* a referring phrase ("the red one", "the car") fits exactly one object, unless the question is about its absence;
* "left of" needs exactly one object clearly in that direction (within about 31° of it) and every other object clearly
  outside (more than 60° off);
* a description from left to right needs columns of their own: no object reaches the middle of its neighbour.

The question kinds are the keys of `KINDS`. Everything is a pure function of its seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stcg_nb.scenes.pictures import Scene, make_scene
from stcg_nb.scenes.sprites import COLORS, SHAPES

KINDS = (
    "color", "object", "exists", "count", "left", "right", "above", "below", "describe", "caption", "absent",
)  # fmt: skip
"""The kinds of question, in the order in which reports list them."""

MULTI_TOKEN_KINDS = ("left", "right", "above", "below", "describe", "caption")
"""The kinds whose answers take several tokens ("a red car")."""

PLURALS = {name: name if name == "fish" else f"{name}es" if name == "box" else f"{name}s" for name in SHAPES}
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}


@dataclass(frozen=True)
class Question:
    """A question with one clear answer.

    Attributes:
        text, answer: as a person writes them.
        kind: one of `KINDS`.
        rests_on: indices into `Scene.objects` of the objects that the answer rests on; empty where it rests on the
            absence of something.
    """

    text: str
    answer: str
    kind: str
    rests_on: tuple[int, ...]


# --- questions --------------------------------------------------------------------------------------------------------

COLOR_TEXTS = (
    "What color is the {0}?",
    "What colour is the {0}?",
    "Which color does the {0} have?",
    "Which colour does the {0} have?",
    "What is the color of the {0}?",
    "The {0} has what colour?",
    "Tell me the colour of the {0}.",
)
OBJECT_TEXTS = (
    "What is the {0} thing?",
    "What is the {0} object?",
    "Which object is {0}?",
    "The {0} thing is a what?",
    "What kind of object is {0}?",
)
EXISTS_TEXTS = (
    "Is there {0}?",
    "Is there {0} in the picture?",
    "Do you see {0}?",
    "Can you see {0} in the image?",
    "Does the picture show {0}?",
)
COUNT_TEXTS = (
    "How many {0} are there?",
    "How many {0} do you see?",
    "How many {0} are in the picture?",
    "Count the {0}.",
    "What is the number of {0}?",
)
DIRECTION_TEXTS = {
    "left": ("What is left of the {0}?", "What is to the left of the {0}?", "Which object is left of the {0}?"),
    "right": ("What is right of the {0}?", "What is to the right of the {0}?", "Which object is right of the {0}?"),
    "above": ("What is above the {0}?", "What do you see above the {0}?", "Which object is above the {0}?"),
    "below": ("What is below the {0}?", "What do you see below the {0}?", "Which object is below the {0}?"),
}
DESCRIBE_TEXTS = (
    "Describe the {0}.",
    "Describe the {0} in the picture.",
    "What does the {0} look like?",
    "Can you describe the {0}?",
)
CAPTION_TEXTS = (
    "Describe the picture from left to right.",
    "Describe the image from left to right.",
    "What do you see from left to right?",
    "What is in the picture from left to right?",
)


def make_questions(scene: Scene, seed: int, kinds: Sequence[str] = KINDS) -> list[Question]:
    """One question of each kind that this scene can be asked clearly.

    Args:
        scene: the scene.
        seed: chooses objects, answers and wording.
        kinds: some of `KINDS`.

    Returns:
        At most one question a kind, in the order of ``kinds``; a kind that has no clear question here is left out.

    Raises:
        ValueError: if a kind is unknown.

    Example:
        >>> [q.kind for q in make_questions(make_scene(7), 0, ["color", "count"])]
        ['color', 'count']
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"Question kind {unknown[0]!r} is unknown; the kinds are {', '.join(KINDS)}.")
    rng = np.random.default_rng((scene.seed, seed, 2))
    made = (_ask(scene, kind, rng) for kind in kinds)
    return [question for question in made if question is not None]


def sample(n: int, seed: int, kinds: Sequence[str] = KINDS, size: int = 256) -> Iterator[tuple[Scene, Question]]:
    """Fresh scenes with one question each, the kinds in turn.

    Args:
        n: how many.
        seed: two different seeds share no scene, and none shares one with the training program.
        kinds: asked in turn, so that each gets ``n / len(kinds)`` questions.
        size: side of the pictures in pixels.

    Yields:
        ``n`` pairs of a scene and a question about it.

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
            asked = make_questions(scene, 0, [kinds[i % len(kinds)]])
            if asked:
                yield scene, asked[0]
                break


EVALUATION_SEEDS = 10**12
"""Scene seeds from here on are for evaluation; the training program draws below."""


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _matching(scene: Scene, color: str | None, shape: str | None) -> tuple[int, ...]:
    return tuple(
        i for i, o in enumerate(scene.objects) if color in (None, o.color) and shape in (None, o.shape)
    )  # fmt: skip


def _noun(color: str | None, shape: str | None, plural: bool = False) -> str:
    noun = (PLURALS[shape] if plural else shape) if shape else ("things" if plural else "thing")
    return f"{color} {noun}" if color else noun


def _references(scene: Scene, i: int) -> list[str]:
    """The phrases without article that mean object i and no other."""
    o = scene.objects[i]
    options = [(o.color, o.shape), (None, o.shape), (o.color, None)]
    return [_noun(*option) for option in options if _matching(scene, *option) == (i,)]


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
    """The colour of the one object of its shape, or the shape of the one object of its colour."""
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
    """Yes and no in equal parts; half of the noes join a colour and a shape that occur on different objects."""
    present = bool(rng.integers(2))
    while True:
        if present or rng.random() < 0.5:
            o = scene.objects[int(rng.integers(len(scene.objects)))]
            color: str | None = o.color
            shape: str | None = o.shape if present else scene.objects[int(rng.integers(len(scene.objects)))].shape
            if not present and _matching(scene, color, shape):  # every colour meets every shape: no such pair
                color = _pick(rng, list(COLORS))
        else:
            color, shape = _pick(rng, list(COLORS)), _pick(rng, list(SHAPES))
        form = rng.integers(3)
        color, shape = (None, shape) if form == 0 else (color, None) if form == 1 else (color, shape)
        evidence = _matching(scene, color, shape)
        if bool(evidence) == present:
            noun = _noun(color, shape)
            article = "an" if noun[0] in "aeiou" else "a"
            return Question(
                _pick(rng, EXISTS_TEXTS).format(f"{article} {noun}"), "yes" if present else "no", "exists", evidence
            )


def _ask_count(scene: Scene, rng: np.random.Generator) -> Question:
    """Each number that occurs is as likely as any other, so that the answer cannot be guessed from the question."""
    by_number: dict[int, list[tuple[str | None, str | None]]] = {}
    for color in (None, *COLORS):
        for shape in (None, *SHAPES):
            if color is None or shape is None:
                by_number.setdefault(len(_matching(scene, color, shape)), []).append((color, shape))
    for o in scene.objects:
        by_number.setdefault(len(_matching(scene, o.color, o.shape)), []).append((o.color, o.shape))
    number = int(rng.choice(sorted(by_number)))
    color, shape = by_number[number][int(rng.integers(len(by_number[number])))]
    noun = _noun(color, shape, plural=True)
    return Question(_pick(rng, COUNT_TEXTS).format(noun), str(number), "count", _matching(scene, color, shape))


def _in_direction(scene: Scene, i: int, kind: str) -> tuple[list[int], list[int]]:
    """Objects clearly in a direction from object i, and those that some might say are."""
    ux, uy = DIRECTIONS[kind]
    x, y = scene.objects[i].center
    clearly, perhaps = [], []
    for j, other in enumerate(scene.objects):
        dx, dy = other.center[0] - x, other.center[1] - y
        along, across = dx * ux + dy * uy, abs(dx * uy) + abs(dy * ux)
        if along > 0 and across < 0.6 * along:
            clearly.append(j)
        elif along > 0 and across < 1.7 * along:
            perhaps.append(j)
    return clearly, perhaps


def _ask_direction(scene: Scene, kind: str, rng: np.random.Generator) -> Question | None:
    options = []
    for i in range(len(scene.objects)):
        clearly, perhaps = _in_direction(scene, i, kind)
        references = _references(scene, i)
        if len(clearly) == 1 and not perhaps and references:
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
