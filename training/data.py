"""Training batches: a pure function of (seed, step), so that a resumed run sees what an uninterrupted one would.

Pictures are altered as the counterfactual engine alters them (objects or pieces of the ground filled in with their
surroundings, noise, JPEG, brightness), and now and then words that carry no meaning are hidden, so that such inputs are
familiar to the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import easy_vqa
import numpy as np
import torch
from build import GRID, IMAGE_SIZE
from PIL import Image
from torch.utils.data import IterableDataset

from stcg_nb.scenes.pictures import Scene, make_scene
from stcg_nb.scenes.questions import DIRECTIONS, Question, make_questions
from stcg_nb.scenes.sprites import COLORS, SHAPES

PROMPT = "Question: {} Answer:"
FUNCTION_WORDS = {"the", "a", "an", "in", "picture", "image", "do", "you", "me", "of", "to", "is", "does", "are"}
# Many objects, and describing three or four of them in order, are the hardest to learn; left to chance both are rarer.
OBJECTS, OBJECT_SHARES = (2, 3, 4, 5), (0.1, 0.2, 0.3, 0.4)
IN_COLUMNS, FOUR_IN_COLUMNS = 0.8, 0.9
FEW_COLORS = 0.8  # of those, so many have two colours at most: repeated phrases are the hardest to count
ANCHOR_ROWS, ANCHOR_COLUMNS = 4, 8
COLOR_IDS = {name: i for i, name in enumerate(COLORS)}
SHAPE_IDS = {name: i for i, name in enumerate(SHAPES)}
IGNORE = -100
WEIGHTS = {"caption": 20.0, "left": 2.0, "right": 2.0, "above": 2.0, "below": 2.0, "count": 3.0, "absent": 2.0}
"""How much more often a kind of question that takes longer to learn is asked."""


@dataclass
class Example:
    """A picture with its questions and, for a scene, what is where.

    Attributes:
        pixels: uint8 ``[IMAGE_SIZE, IMAGE_SIZE, 3]``.
        questions: (question, answer, weight, evidence); a larger weight is drawn more often, and evidence, int64 ``[32]``, says
            for each cell of the queries' grid what the object with its centre there is to the answer: 0 nothing; 1 part of
            it; 2 the object that it is left of, or the second from the left, and so on; IGNORE where that is not known.
        patches: int64 ``[GRID * GRID, 2]``, shape and colour of the object under each patch; background is the number
            of shapes or colours; IGNORE where unclear.
        anchors: int64 ``[32, 2]``, the same for the object whose centre lies in each cell of the queries' grid.
        offsets: float32 ``[32, 2]``, that centre relative to the middle of the cell, in cells.
    """

    pixels: np.ndarray
    questions: list[tuple[str, str, float, np.ndarray]]
    patches: np.ndarray
    anchors: np.ndarray
    offsets: np.ndarray


def erase(scene: Scene, i: int, rng: np.random.Generator) -> Scene:
    """The scene with object i filled in by the mean of its surroundings; now and then its fringe stays."""
    mask = scene.objects[i].mask.astype(np.uint8)
    reach = round(scene.size * rng.uniform(0, 0.03))
    inside = cv2.dilate(mask, np.ones((2 * reach + 1,) * 2, np.uint8)).astype(bool)
    for j, other in enumerate(scene.objects):
        if j != i:
            inside &= ~other.mask
    ring = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~inside
    image = scene.image.copy()
    image[inside] = image[ring].mean(0) + rng.normal(0, 2, 3)
    return replace(scene, image=image, objects=scene.objects[:i] + scene.objects[i + 1 :])


def fill_ground(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with pieces of its ground filled in by the median of what is around them; objects stay as they are."""
    coarse = 64
    seeds = rng.uniform(0, coarse, (int(rng.integers(8, 33)), 2)).astype(np.float32)
    y, x = np.mgrid[:coarse, :coarse].astype(np.float32)
    cells = ((x[..., None] - seeds[:, 0]) ** 2 + (y[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    hole = rng.random(len(seeds)) < rng.uniform(0.1, 0.9)
    hole = cv2.resize(hole[cells].astype(np.uint8), (scene.size, scene.size), interpolation=cv2.INTER_NEAREST)
    objects = np.any([o.mask for o in scene.objects], axis=0).astype(np.uint8)
    hole[cv2.dilate(objects, np.ones((3, 3), np.uint8)) > 0] = 0
    image = scene.image.copy()
    count, pieces = cv2.connectedComponents(hole)
    for label in range(1, count):
        piece = pieces == label
        ring = cv2.dilate(piece.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~piece & (objects == 0)
        image[piece] = np.median(image[ring if ring.any() else piece], axis=0)
    return replace(scene, image=image)


def disturb(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = pixels.astype(np.float32)
    if rng.random() < 0.25:
        image = image * rng.uniform(0.85, 1.12) + rng.uniform(-8, 8)
    if rng.random() < 0.25:
        image = image + rng.standard_normal(image.shape, np.float32) * rng.uniform(2, 14)
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        image = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return image


def scene_example(seed: int, rng: np.random.Generator) -> Example:
    size = 256 if rng.random() < 0.5 else IMAGE_SIZE
    scene = make_scene(seed, size, int(rng.choice(OBJECTS, p=OBJECT_SHARES)))
    if rng.random() < IN_COLUMNS:
        count = 4 if rng.random() < FOUR_IN_COLUMNS else 3
        most = 2 if rng.random() < FEW_COLORS else count
        while (
            len(scene.objects) != count
            or len({o.color for o in scene.objects}) > most
            or not make_questions(scene, 0, ("caption",))
        ):
            scene = make_scene(int(rng.integers(10**12)), size, count)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, len(scene.objects)))):
            scene = erase(scene, int(rng.integers(len(scene.objects))), rng)
    if rng.random() < 0.35:
        scene = fill_ground(scene, rng)
    questions = make_questions(scene, 0) + make_questions(scene, 1, ("left", "right", "above", "below", "count"))
    questions += make_questions(scene, 2, ("count", "absent"))
    unique: dict[str, Question] = {q.text: q for q in questions}
    pixels = scene.image
    if scene.size != IMAGE_SIZE:
        pixels = np.asarray(Image.fromarray(pixels).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))
    patches = np.full((GRID * GRID, 2), (len(SHAPES), len(COLORS)))
    anchors = np.full((ANCHOR_ROWS * ANCHOR_COLUMNS, 2), (len(SHAPES), len(COLORS)))
    offsets = np.zeros((ANCHOR_ROWS * ANCHOR_COLUMNS, 2), np.float32)
    for i, o in enumerate(scene.objects):
        share = cv2.resize(o.mask.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(-1)
        patches[share > 0.35] = SHAPE_IDS[o.shape], COLOR_IDS[o.color]
        patches[(share > 0.1) & (share <= 0.35)] = IGNORE
        place, offset = cell(scene, i)
        anchors[place] = SHAPE_IDS[o.shape], COLOR_IDS[o.color]
        offsets[place] = offset
    asked = [(q.text, q.answer, WEIGHTS.get(q.kind, 1.0), evidence(scene, q)) for q in unique.values()]
    return Example(disturb(pixels, rng), asked, patches, anchors, offsets)


def evidence(scene: Scene, question: Question) -> np.ndarray:
    """What each cell's object is to the answer, see `Example`."""
    out = np.zeros(ANCHOR_ROWS * ANCHOR_COLUMNS, np.int64)
    if question.kind == "absent":
        out[:] = IGNORE
    ordered = question.kind in (*DIRECTIONS, "caption")
    for place, i in enumerate(question.rests_on):
        out[cell(scene, i)[0]] = 1 + (place if ordered else 0)
    return out


def cell(scene: Scene, i: int) -> tuple[int, tuple[float, float]]:
    """The cell of the queries' grid that holds the centre of object i, and that centre relative to the cell's middle."""
    x, y = (c / scene.size * n for c, n in zip(scene.objects[i].center, (ANCHOR_COLUMNS, ANCHOR_ROWS), strict=True))
    return int(y) * ANCHOR_COLUMNS + int(x), (x % 1 - 0.5, y % 1 - 0.5)


class EasyVQA:
    """The training split of the public easy-vqa package, its pictures resized to the model's."""

    def __init__(self) -> None:
        texts, answers, images = easy_vqa.get_train_questions()
        paths = easy_vqa.get_train_image_paths()
        unknown = np.full(ANCHOR_ROWS * ANCHOR_COLUMNS, IGNORE)
        self.questions: dict[int, list[tuple[str, str, float, np.ndarray]]] = {}
        for text, answer, image in zip(texts, answers, images, strict=True):
            self.questions.setdefault(image, []).append((text, answer, 1.0, unknown))
        size = (IMAGE_SIZE, IMAGE_SIZE)
        self.pixels = {
            i: np.asarray(Image.open(paths[i]).convert("RGB").resize(size, Image.Resampling.BICUBIC))
            for i in self.questions
        }
        self.ids = sorted(self.questions)

    def example(self, rng: np.random.Generator) -> Example:
        i = int(rng.choice(self.ids))
        return Example(
            disturb(self.pixels[i], rng),
            self.questions[i],
            np.full((GRID * GRID, 2), IGNORE),
            np.full((ANCHOR_ROWS * ANCHOR_COLUMNS, 2), IGNORE),
            np.zeros((ANCHOR_ROWS * ANCHOR_COLUMNS, 2), np.float32),
        )


def corpus() -> Iterator[str]:
    """What the tokenizer learns from: questions, answers, and plain English so that any word splits sensibly."""
    import pydoc_data.topics

    for seed in range(1500):
        for question in make_questions(make_scene(seed, 64), 0):
            yield PROMPT.format(question.text)
            yield question.answer
    texts, answers, _ = easy_vqa.get_train_questions()
    for text, answer in zip(texts[::10], answers[::10], strict=True):
        yield PROMPT.format(text)
        yield answer
    prose = "\n".join(pydoc_data.topics.topics.values())
    yield from re.findall(r"[a-zA-Z][a-zA-Z' ,]{20,}", prose)[:4000]


class Batches(IterableDataset):
    """Batches from `start` on. Each holds tensors ready for `train.losses`."""

    def __init__(self, tokenizer, seed: int, start: int, stop: int, images: int, questions: int, easy: float) -> None:
        self.tokenizer, self.seed, self.start, self.stop = tokenizer, seed, start, stop
        self.images, self.questions, self.easy = images, questions, easy

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        easy_vqa_split = EasyVQA() if self.easy else None
        for step in range(self.start, self.stop):
            rng = np.random.default_rng((self.seed, step))
            examples = []
            for _ in range(self.images):
                if easy_vqa_split and rng.random() < self.easy:
                    examples.append(easy_vqa_split.example(rng))
                else:
                    examples.append(scene_example(int(rng.integers(10**12)), rng))
            yield self.collate(examples, rng)

    def collate(self, examples: list[Example], rng: np.random.Generator) -> dict[str, torch.Tensor]:
        owner, prompts, answers, evidences = [], [], [], []
        for i, example in enumerate(examples):
            # Without replacement, by weight (Efraimidis and Spirakis 2006).
            keys = [rng.random() ** (1 / weight) for _, _, weight, _ in example.questions]
            for j in np.argsort(keys)[::-1][: self.questions]:
                question, answer, _, known = example.questions[j]
                owner.append(i)
                prompts.append(PROMPT.format(question))
                answers.append(answer)
                evidences.append(known)
        text = self.tokenizer(prompts, padding=True, return_tensors="pt")
        for row, prompt in enumerate(prompts):
            if rng.random() < 0.15:
                self._hide_words(text, row, prompt, rng)
        labels = self.tokenizer(answers, padding=True, return_tensors="pt").input_ids
        labels[labels == self.tokenizer.pad_token_id] = IGNORE
        return {
            "pixels": torch.from_numpy(np.stack([e.pixels for e in examples])),
            "patches": torch.from_numpy(np.stack([e.patches for e in examples])),
            "anchors": torch.from_numpy(np.stack([e.anchors for e in examples])),
            "offsets": torch.from_numpy(np.stack([e.offsets for e in examples])),
            "owner": torch.tensor(owner),
            "input_ids": text.input_ids,
            "attention_mask": text.attention_mask,
            "labels": labels,
            "evidence": torch.from_numpy(np.stack(evidences)),
        }

    def _hide_words(self, text, row: int, prompt: str, rng: np.random.Generator) -> None:
        """Cut some of the question's function words from the attention."""
        share = rng.uniform(0.1, 0.9)
        start, stop = PROMPT.index("{"), len(prompt) - len(PROMPT) + PROMPT.index("}") + 1
        for match in re.finditer(r"\w+", prompt[start:stop]):
            if match.group().lower() in FUNCTION_WORDS and rng.random() < share:
                for position in range(start + match.start(), start + match.end()):
                    token = text.char_to_token(row, position)
                    if token is not None:
                        text["attention_mask"][row, token] = 0
