"""Are regions things? Objects whole, evidence recall, and pixel-wise insertion and deletion, for several ways to make regions.

    python benchmarks/regions.py --n 200 --seed 77 --regions slic grid:4x6
    python benchmarks/regions.py --photographs a.png b.jpg --regions slic grid:4x6

Each way gets the same questions and the same number of forward passes. Pixels are ordered by the relevance of their region, its
summed effect divided by its area; those of one region by the same smooth noise for every way. They are removed (deletion) or put
back (insertion) in equal steps of area, so that the number, size and shape of regions give no advantage. The value is p(answer),
the picture without a pixel is blurred or has its median colour (mean of both), and the score is the area under the insertion curve
less that under the deletion curve. Intervals are 95 %, by bootstrap clustered by picture; differences are paired, to the first way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stcg_nb.case import Case
from stcg_nb.faithfulness.ground_truth import evidence_recall, objects_whole
from stcg_nb.faithfulness.removal_curves import answer_probability
from stcg_nb.inputs.images import read_image, thumbnail
from stcg_nb.inputs.regions import Regions, make_regions
from stcg_nb.interventions import Game, find_causes
from stcg_nb.models import Model, load_model
from stcg_nb.scenes import sample
from stcg_nb.stats.bootstrap import cluster_bootstrap

STEPS = 20  # of the curves
PHOTOGRAPH_SIDE = 512
QUESTIONS = (
    "What is this?",
    "What color is the thing in the picture?",
    "How many things do you see?",
    "Describe the picture from left to right.",
)

Makers = Mapping[str, Callable[[np.ndarray], Regions]]


class Asked(NamedTuple):
    """A question about a picture.

    Attributes:
        picture, kind: Names.
        image: uint8 ``[height, width, 3]``.
        question: Its text.
        objects: The objects in the picture, bool ``[object, height, width]``.
        rests_on: Those that the answer rests on.
    """

    picture: str
    kind: str
    image: np.ndarray
    question: str
    objects: Sequence[np.ndarray] = ()
    rests_on: Sequence[int] = ()


def scenes(n: int, seed: int, model: Model) -> Iterator[Asked]:
    """Questions about fresh scenes that the model answers correctly."""
    found = 0
    for scene, question in sample(10**6, seed):
        if model.answer([scene.image], model.prompt(question.text))[0].text == question.answer:
            objects = [o.mask for o in scene.objects]
            yield Asked(str(scene.seed), question.kind, scene.image, question.text, objects, question.rests_on)
            found += 1
            if found == n:
                return


def photographs(paths: list[Path]) -> Iterator[Asked]:
    """`QUESTIONS` about each photograph."""
    for path in paths:
        image = thumbnail(read_image(path), PHOTOGRAPH_SIDE)
        for question in QUESTIONS:
            yield Asked(path.stem, "photograph", image, question)


def insertion_less_deletion(case: Case, weights: np.ndarray, seed: int) -> float:
    """The score of region weights ``[region]``, between -1 and 1."""
    labels = case.regions.labels
    noise = np.random.default_rng(seed).normal(size=(16, 16))
    noise = cv2.resize(noise, labels.shape[::-1], interpolation=cv2.INTER_CUBIC)
    relevance = (weights / np.bincount(labels.ravel()))[labels]
    order = np.lexsort((noise.ravel(), -relevance.ravel()))
    rank = np.empty(labels.size, dtype=int)
    rank[order] = np.arange(labels.size)
    rank = rank.reshape(labels.shape)
    scores = []
    for without in (blurred(case.image), plain(case.image)):
        images = []
        for taken in np.linspace(0, labels.size, STEPS + 1):
            first = (rank < taken)[..., None]
            images += [np.where(first, case.image, without), np.where(first, without, case.image)]
        p = answer_probability(case.trace(images).v).reshape(-1, 2)
        insertion, deletion = (p[1:] + p[:-1]).mean(0) / 2
        scores.append(insertion - deletion)
    return float(np.mean(scores))


def blurred(image: np.ndarray) -> np.ndarray:
    """The image, blurred by an eighth of its shorter side."""
    return cv2.GaussianBlur(image, (0, 0), min(image.shape[:2]) / 8)


def plain(image: np.ndarray) -> np.ndarray:
    """An image of the same size in the median colour."""
    return np.broadcast_to(np.median(image, (0, 1)).astype(np.uint8), image.shape)


def measure(asked: Asked, model: Model, makers: Makers, masks: int, seed: int) -> dict[str, dict[str, float]]:
    """Of each way to make regions its measures."""
    answer, result = None, {}
    for way, make in makers.items():
        case = Case.read(asked.image, asked.question, model, regions=make(asked.image), answer=answer)
        answer, game = case.answer, Game(case)
        weights = find_causes(game, masks).node[:, game.n_words :].sum(0)
        measures = {"regions": case.regions.n, "insertion - deletion": insertion_less_deletion(case, weights, seed)}
        if len(asked.objects):
            measures["objects whole"] = objects_whole(case.regions.labels, np.array(asked.objects))
        if len(asked.rests_on):
            left_out = game.leave_one_out().effects[:, game.n_words :].sum(0)
            evidence = np.array(asked.objects)[list(asked.rests_on)]
            measures["evidence recall"] = evidence_recall(left_out, case.regions.labels, evidence)
        result[way] = measures
    return result


def table(rows: list[tuple[Asked, dict[str, dict[str, float]]]], makers: Makers) -> None:
    """Print means with intervals, and paired differences to the first way."""
    first = next(iter(makers))
    for kind in ["all", *dict.fromkeys(asked.kind for asked, _ in rows)]:
        chosen = [(asked, result) for asked, result in rows if kind in ("all", asked.kind)]
        pictures = np.array([asked.picture for asked, _ in chosen])
        for key in dict.fromkeys(key for _, result in chosen for key in result[first]):
            values = {way: np.array([result[way].get(key, np.nan) for _, result in chosen]) for way in makers}
            for way, v in values.items():
                shown = {way: v} if way == first else {way: v, f"{way} less {first}": v - values[first]}
                for what, of in shown.items():
                    e = cluster_bootstrap(of, pictures)
                    print(f"{kind:10} {key:20} {what:24} {e.value:7.3f} [{e.low:.3f}, {e.high:.3f}] n={e.n}")


def run(makers: Makers, options: argparse.Namespace) -> None:
    """Measure and print; one line of JSON a question goes to `options.out`."""
    model = load_model(options.model)
    questions = photographs(options.photographs) if options.photographs else scenes(options.n, options.seed, model)
    rows = []
    for asked in questions:
        rows.append((asked, measure(asked, model, makers, options.masks, len(rows))))
        if options.out:
            with options.out.open("a") as file:
                file.write(
                    json.dumps(
                        {"picture": asked.picture, "kind": asked.kind, "question": asked.question, **rows[-1][1]}
                    )
                    + "\n"
                )
    table(rows, makers)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--model", default="tiny")
    options.add_argument("--n", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--masks", type=int, default=256)
    options.add_argument("--photographs", type=Path, nargs="*", default=[])
    options.add_argument("--regions", nargs="+", default=["slic", "grid:4x6"])
    options.add_argument("--out", type=Path)
    return options


if __name__ == "__main__":
    chosen = parser().parse_args()
    run({spec: (lambda image, spec=spec: make_regions(image, spec)) for spec in chosen.regions}, chosen)
