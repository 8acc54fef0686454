"""Measure the embedded model and write its model card.

    python training/card.py [--folder stcg_nb/data/tiny] [--n 5500] [--seed 1]

The card's numbers are this program's and nobody types any: exact match of the greedy answer on fresh scenes, which share no
seed with training, and on the test split of easy-VQA, with Wilson's 95 % intervals; and what is left of it without the image
or without the question's words.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, Blip2ForConditionalGeneration

from stcg_nb.datasets.accuracy import measure
from stcg_nb.models import load_model
from stcg_nb.scenes.questions import KINDS, MULTI_TOKEN_KINDS

MEANING = {
    "color": "the colour of an object",
    "object": "what the blue thing is",
    "exists": "is there a …",
    "count": "how many …",
    "left": "what is left of …",
    "right": "what is right of …",
    "above": "what is above …",
    "below": "what is below …",
    "describe": "describe the car",
    "caption": "describe the picture from left to right",
    "absent": "about something that is not there",
}
CARD = """---
library_name: transformers
pipeline_tag: visual-question-answering
license: mit
---

# `tiny`: a small BLIP-2 with known truth

A genuine `Blip2ForConditionalGeneration` with BLIP-2's own geometry: {patches} patches and CLS, a Q-Former with {queries} query
tokens, a T5 encoder-decoder; {parameters:,} parameters. It is a test bed for explanations: it really looks and really listens,
and for every picture it is known what each answer rests on. It is of no use on photographs.

It was trained by `training/train.py` on the package's own scenes (`stcg_nb.scenes.questions`) and on the training split of the public
easy-vqa package. Pictures in training were altered now and then as the perturbations alter them (objects or ground filled in with
their surroundings, noise, JPEG, brightness), and function words hidden, so that such counterfactuals are not foreign to it. The
prompt is BLIP-2's, `Question: {{}} Answer:`.

These weights come from several runs of that program, one after the other: its first two stages from nothing, then the last stage
more than once, each run starting from the weights before (`--start`), the last ones short and at lower rates (`--rate`). The last
run began from the mean of two (`training/average.py`), and these weights are the mean of where it began and where it ended; it and
the run before it were in float32, the Muon steps too. Between runs the data changed (more objects, more of them in columns or alike
in colour, pieces of the ground filled in, fewer words hidden). One run from nothing of the program as it stands has not been made.

## Accuracy

Exact match of the greedy answer; 95 % intervals by Wilson; weights `{revision}`.

| questions | n | accuracy | interval |
|---|---|---|---|
{rows}

Measured by `training/card.py` with scenes of seed {scene_seed}, which share none with training. "Without the image": a uniform
picture of its mean colour. "Without the question": all of its words cut from the attention.

What is left without the image or the question comes from answers that are right for a blank picture ("none", "no", "0") or more
common than others ("yes", "no").

## Limits

Eight shapes, seven colours, two to five objects that do not overlap, questions in the templates of `stcg_nb.scenes.questions`
and of easy-vqa.
Small letters and capitals are the same to it; a word that it has never seen is read letter by letter and means nothing.
"""


def row(name: str, entry: dict[str, Any]) -> str:
    low, high = entry["interval"]
    return f"| {name} | {entry['n']:,} | {100 * entry['accuracy']:.1f} % | {100 * low:.1f} to {100 * high:.1f} % |"


def whole(report: dict[str, Any]) -> dict[str, Any]:
    return {"n": report["n"], "accuracy": report["overall"], "interval": report["interval"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("stcg_nb/data/tiny"))
    parser.add_argument("--n", type=int, default=5500, help="questions about scenes")
    parser.add_argument("--seed", type=int, default=1, help="of the scenes")
    args = parser.parse_args()
    model = load_model(str(args.folder))
    scenes = measure(model, n=args.n, seed=args.seed)
    easy = measure(model, "easy-vqa")
    fewer = max(len(KINDS), args.n // 5)
    rows = [row("**scenes, all**", whole(scenes))]
    rows += [row(f"{kind}: {MEANING[kind]}", scenes["kinds"][kind]) for kind in KINDS]
    multi = [scenes["kinds"][k] for k in MULTI_TOKEN_KINDS]
    share = sum(e["accuracy"] * e["n"] for e in multi) / sum(e["n"] for e in multi)
    print(f"multi-token answers: {share:.4f}, n = {sum(e['n'] for e in multi)}")
    rows.append(row("**easy-VQA, test split**", whole(easy)))
    rows += [row(f"easy-VQA, {kind}", entry) for kind, entry in easy["kinds"].items()]
    for part in ("image", "question"):
        rows.append(row(f"scenes without the {part}", whole(measure(model, n=fewer, seed=args.seed, without=part))))
        rows.append(row(f"easy-VQA without the {part}", whole(measure(model, "easy-vqa", without=part))))
    config = AutoConfig.from_pretrained(args.folder)
    side = config.vision_config.image_size // config.vision_config.patch_size
    network = Blip2ForConditionalGeneration.from_pretrained(args.folder)
    card = CARD.format(
        patches=f"{side}×{side}",
        queries=config.num_query_tokens,
        parameters=network.num_parameters(),
        revision=model.revision,
        scene_seed=args.seed,
        rows="\n".join(rows),
    )
    (args.folder / "README.md").write_text(card, encoding="utf-8")
    print(json.dumps({"scenes": scenes, "easy-vqa": easy}, indent=1))


if __name__ == "__main__":
    main()
