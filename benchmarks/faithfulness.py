"""Measures of the card on drawn scenes, easy-VQA and photographs: prediction, calibration, trust and fills.

    python benchmarks/faithfulness.py --on photographs --masks 64 256 1024
    python benchmarks/faithfulness.py --on scenes --n 200 --seed 4242 --keys lds lds_graph trust_error
    python benchmarks/faithfulness.py --on easy-vqa --n 60 --out easy.jsonl

*scenes*: `--n` questions about fresh scenes of `--seed` that the model answers correctly. *easy-vqa*: the first `--n` test questions
of easy-VQA. *photographs*: those that scikit-image ships, each with the questions of `QUESTIONS`, and the model's own
answers. The embedded models have never seen a photograph. The method was tuned on `TUNED` only; the others are `HELD_OUT`.
Means over questions with 95 % intervals, clustered by picture.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data

from stcg_nb.case import Case
from stcg_nb.datasets import load_dataset
from stcg_nb.faithfulness.card_measures import MEASURES
from stcg_nb.faithfulness.context import Context
from stcg_nb.inputs.images import read_image
from stcg_nb.interventions.masking import Game
from stcg_nb.models import load_model
from stcg_nb.scenes.questions import sample
from stcg_nb.stats.bootstrap import cluster_bootstrap

TUNED = ("astronaut", "cat", "coffee", "rocket")
HELD_OUT = ("camera", "coins", "hubble_deep_field", "immunohistochemistry", "motorcycle", "retina", "clock", "moon")
QUESTIONS = ("what color is the thing in the middle?", "how many things do you see?", "is there a person?")
KEYS = (
    "lds", "lds_graph", "lds_loo", "interaction_faithfulness", "coverage_pairs", "coverage_triples", "held_sign", "held_twofold",
    "trust_error", "trust_near", "trust_covers", "sign_fills", "sign_robust", "first_hidden",
)  # fmt: skip


def photograph(name: str) -> np.ndarray:
    """A photograph of scikit-image, RGB ``[height, width, 3]``."""
    return read_image(skimage.data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(skimage.data, name)())


def cases(on: str, model: Any, n: int, seed: int, names: tuple[str, ...]) -> Iterator[tuple[str, int, Case]]:
    """The picture's name, a seed, and the case of each question."""
    if on == "photographs":
        for name in names:
            image = photograph(name)
            for question in QUESTIONS:
                yield name, zlib.crc32(f"{name} {question}".encode()), Case.read(image, question, model)
    elif on == "easy-vqa":
        for record in islice(load_dataset("easy-vqa", n=n), n):
            yield record.image, zlib.crc32(record.id.encode()), Case.read(record.picture.read(), record.question, model)
    else:
        found = 0
        for scene, question in sample(10**6, seed):
            case = Case.read(scene.image, question.text, model)
            if case.answer.text == question.answer:
                yield str(scene.seed), scene.seed, case
                found += 1
            if found == n:
                return


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", choices=("scenes", "easy-vqa", "photographs"), default="photographs")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--masks", type=int, nargs="+", default=[256])
    parser.add_argument("--n", type=int, default=60, help="questions, except for photographs")
    parser.add_argument("--seed", type=int, default=4242, help="of the scenes")
    parser.add_argument("--tuned", action="store_true", help="photographs that the method was tuned on")
    parser.add_argument("--keys", nargs="+", default=KEYS, choices=tuple(MEASURES), metavar="KEY")
    parser.add_argument("--out", type=Path, help="a JSON line for each question")
    args = parser.parse_args(argv)
    model = load_model(args.model)
    shuffled = model.randomised(args.seed)
    found: dict[int, list[tuple[str, list[float]]]] = {n: [] for n in args.masks}
    for name, seed, case in cases(args.on, model, args.n, args.seed, TUNED if args.tuned else HELD_OUT):
        for n in args.masks:
            context = Context(Game(case), shuffled, n, seed, None)
            values = [float(MEASURES[key].value(context)) for key in args.keys]
            found[n].append((name, values))
            if args.out:
                row = {
                    "picture": name,
                    "masks": n,
                    "players": context.game.n_players,
                    **dict(zip(args.keys, values, strict=True)),
                }
                with args.out.open("a") as file:
                    file.write(
                        json.dumps({k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()})
                        + "\n"
                    )
    for n, rows in found.items():
        pictures, values = np.array([name for name, _ in rows]), np.array([v for _, v in rows])
        print(f"{args.on}, {n} masks")
        for key, column in zip(args.keys, values.T, strict=True):
            e = cluster_bootstrap(column, pictures)
            print(f"  {key:26s} {e.value:7.3f} [{e.low:.3f}, {e.high:.3f}]  n = {e.n}")


if __name__ == "__main__":
    main(sys.argv[1:])
