"""The faithfulness card: does the causal graph of a model's answers predict the model, and would it come out the same again?

On fresh scenes that the model answers correctly, one question each, every measure of `stcg_nb.faithfulness.measures`,
`stcg_nb.faithfulness.removal_curves` and
`stcg_nb.faithfulness.ground_truth` is taken on data that the graph was not fitted on, beside two baselines (random weights, raw
attention) and two
sanity checks: predictions must fail against the same architecture with its weights shuffled (Adebayo et al. 2018, arXiv
1810.03292), and when fitted to masks out of step with their values.

=========================  ==============================================================================================
key                        what is measured, per question
=========================  ==============================================================================================
lds                        LDS of the surrogate's score on held-out joint masks
lds_graph                  LDS of the sparse graph alone
lds_loo                    LDS of the sum of exact leave-one-out effects, the baseline to beat
lds_attention, lds_random  LDS of raw attention (regions and words), and of random weights
lds_randomised_weights     LDS of the graph against the model with its weights shuffled; chance is 0
lds_shuffled_masks         LDS of a surrogate fitted to masks that were shuffled against their values; chance is 0
seed_faithfulness          Pearson correlation of node weights with exact leave-one-out effects
interaction_faithfulness   Spearman correlation of edge weights with exact factorials, over pairs drawn at random
jaccard_masks              chance-corrected Jaccard of the top 10 % edges between two draws of masks
jaccard_noise              the same between the picture and it with noise, as JPEG, and brighter, where the answer stays
retained                   share of those three that keep the answer
pointing, relevance_mass,  positive region weights, summed over steps, against the masks of the objects that the answer
relevance_rank             rests on; questions that rest on an absence have none
srg                        LeRF − MoRF area of p(answer), mean over the fills median, blur and inpaint
=========================  ==============================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from stcg_nb.attention.alignment import aligned
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.faithfulness.ground_truth import pointing, relevance_mass, relevance_rank
from stcg_nb.faithfulness.measures import factorial, held_out_masks, interaction_faithfulness, lds, seed_faithfulness
from stcg_nb.faithfulness.removal_curves import answer_probability, removal_curves
from stcg_nb.files import write
from stcg_nb.interventions.causal_graph import find_causes, pair_weights
from stcg_nb.interventions.masking import Game, without
from stcg_nb.interventions.surrogate import Surrogate
from stcg_nb.models import Model
from stcg_nb.scenes.pictures import Scene
from stcg_nb.scenes.questions import Question, sample
from stcg_nb.stats.bootstrap import cluster_bootstrap
from stcg_nb.stats.overlap import jaccard_top

KEYS = (
    "lds", "lds_graph", "lds_loo", "lds_attention", "lds_random", "lds_randomised_weights", "lds_shuffled_masks",
    "seed_faithfulness", "interaction_faithfulness", "jaccard_masks", "jaccard_noise", "retained",
    "pointing", "relevance_mass", "relevance_rank", "srg",
)  # fmt: skip
HELD_OUT = 150
FACTORIALS = 60
TRIES = 200
SRG_FILLS = ("median", "blur", "inpaint")

Record = dict[str, float | None]


def measure_card(
    model: Model, *, n: int = 200, seed: int = 0, masks: int = 256, partial: Path | None = None
) -> dict[str, Any]:
    """Measure the card.

    Args:
        model: A model with weights; the mock has no faithfulness to measure.
        n: Questions that it answers correctly, of all kinds in turn.
        seed: Of the scenes.
        masks: For each causal graph.
        partial: A file that keeps what is measured, question by question; a run that is stopped goes on from it.

    Returns:
        For each of `KEYS` value, low, high (95 %, clustered by image) and n; besides, what it was measured on, and in
        ``questions`` the measures of each.

    Raises:
        InputError: For n below 2, a negative seed, too few masks, a partial file of another run, a model without weights or
            one that answers none of the first `TRIES` questions.
    """
    if model.synthetic:
        raise InputError(
            f"{model.name!r} has no weights that a card could be about; name a real model, such as 'tiny'."
        )
    if n < 2:
        raise InputError(f"n is {n}; a card with intervals needs at least two questions.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give a whole number from 0 on.")
    head = {"model": model.name, "model_revision": model.revision, "seed": seed, "masks": masks, "format": 1}
    records = _resume(partial, head)
    shuffled = model.randomised(seed)
    with tqdm(total=n, initial=min(len(records), n), desc="card", unit="question", delay=1) as bar:
        for scene, question in _answered(model, seed, skip=len(records)):
            if len(records) >= n:
                break
            records.append({"scene": scene.seed, **measure_question(model, shuffled, scene, question, masks)})
            if partial is not None:
                _append(partial, head, records)
            bar.update()
    records = records[:n]
    images = np.array([r["scene"] for r in records])

    def column(key: str) -> np.ndarray:
        return np.array([np.nan if r[key] is None else r[key] for r in records], dtype=float)

    measured = {key: cluster_bootstrap(column(key), images).as_dict() for key in KEYS}
    return {**head, "n": n, **measured, "questions": records}


def measure_question(model: Model, shuffled: Model, scene: Scene, question: Question, masks: int) -> Record:
    """All of `KEYS` for one question; None where a measure is not defined.

    Args:
        model: What is explained.
        shuffled: The same with its weights shuffled.
        scene, question: That it answers correctly.
        masks: For each causal graph.
    """
    truth = np.any([scene.objects[k].mask for k in question.rests_on], axis=0) if question.rests_on else None
    case = Case.read(scene.image, question.text, model, answer=question.answer)
    return measure_game(Game(case), shuffled, masks, scene.seed, truth)


def measure_game(
    game: Game, shuffled: Model, masks: int = 256, seed: int = 0, truth: np.ndarray | None = None
) -> Record:
    """The card of one explanation: all of `KEYS`; None where a measure is not defined.

    Args:
        game: What is explained, of a model with weights.
        shuffled: The same model with its weights shuffled, as `Model.randomised` makes it.
        masks: For each causal graph; in all it takes some seven times as many forward passes.
        seed: Of held-out masks, baselines and disturbances.
        truth: The pixels that the answer rests on, bool ``[height, width]``, where they are known.

    Example:
        ``measure_game(Game(case), case.model.randomised(0))["lds"]``
    """
    case, model, prompt, answer = game.case, game.case.model, game.case.prompt, game.case.answer
    if model.synthetic:
        raise InputError(f"{model.name!r} has no weights that a card could be about; name a real model.")
    players, words = game.n_players, game.n_words
    causes = find_causes(game, masks, seed=0)
    unseen, rate = held_out_masks(players, HELD_OUT, seed=seed)
    real = game(unseen)
    left_out = game.leave_one_out()
    full, one, effects = left_out.full, left_out.without, left_out.effects
    rng = np.random.default_rng(seed)

    out: dict[str, float] = {
        "lds": lds(causes.surrogate.score(unseen), real, rate),
        "lds_graph": lds(causes.predict(unseen), real, rate),
        "lds_loo": lds(unseen @ effects.T, real, rate),
        "lds_attention": lds(unseen @ aligned(case).by_region(case).step_player.T, real, rate),
        "lds_random": lds(unseen @ rng.normal(size=effects.T.shape), real, rate),
        "lds_randomised_weights": lds(causes.predict(unseen), Game(replace(case, model=shuffled))(unseen), rate),
        "lds_shuffled_masks": lds(Surrogate(rng.permutation(causes.masks), causes.values).score(unseen), real, rate),
        "seed_faithfulness": seed_faithfulness(causes.node, effects),
    }
    drawn = rng.permutation(len(causes.pairs))[:FACTORIALS]
    i, j = causes.pairs[drawn].T
    exact = factorial(full, one[j], one[i], game(without(players, causes.pairs[drawn]))).T
    out["interaction_faithfulness"] = _mean(
        interaction_faithfulness(edge[drawn], truth) for edge, truth in zip(causes.edge, exact, strict=True)
    )
    out["jaccard_masks"] = _overlap(causes.edge, pair_weights(game, masks, seed=1))
    kept, overlaps = [], []
    for picture in disturbed(case.image, seed):
        same = model.answer([picture], prompt)[0].text == answer.text
        kept.append(float(same))
        if same:
            other = Game(case.of(picture))
            overlaps.append(_overlap(causes.edge, pair_weights(other, masks, seed=0)))
    out["retained"], out["jaccard_noise"] = float(np.mean(kept)), _mean(iter(overlaps))
    if truth is not None:
        weights = np.maximum(causes.node[:, words:], 0).sum(0)
        for key, compare in (
            ("pointing", pointing),
            ("relevance_mass", relevance_mass),
            ("relevance_rank", relevance_rank),
        ):
            out[key] = compare(weights, case.regions.labels, truth)
    order = np.argsort(-causes.node.sum(0), kind="stable")
    out["srg"] = _mean(float(removal_curves(order, _probability(Game(case, fill))).srg) for fill in SRG_FILLS)
    return {key: None if np.isnan(value := out.get(key, np.nan)) else float(value) for key in KEYS}


def disturbed(image: np.ndarray, seed: int) -> list[np.ndarray]:
    """The image with noise (deviation 8 of 255), as JPEG of quality 50, and 8 % brighter: ``[height, width, 3]`` each."""
    noise = np.random.default_rng((seed, 3)).normal(0, 8, image.shape)
    _, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 50])
    return [
        (image + noise).round().clip(0, 255).astype(np.uint8),
        cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB),
        (image * 1.08).round().clip(0, 255).astype(np.uint8),
    ]


def _answered(model: Model, seed: int, skip: int) -> Iterator[tuple[Scene, Question]]:
    """Fresh scenes with a question that the model answers correctly, without the first `skip` of them."""
    found = 0
    for tried, (scene, question) in enumerate(sample(10**6, seed)):
        if tried == TRIES and not found:
            raise InputError(
                f"{model.name} answers none of {TRIES} questions about scenes correctly: nothing to explain."
            )
        if model.answer([scene.image], model.prompt(question.text))[0].text == question.answer:
            found += 1
            if found > skip:
                yield scene, question


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over steps of the overlap of two graphs' edges ``[step, pair]``."""
    return _mean(jaccard_top(x, y) for x, y in zip(a, b, strict=True))


def _probability(game: Game) -> Callable[[np.ndarray], np.ndarray]:
    return lambda masks: answer_probability(game(masks))


def _mean(values: Iterator[float]) -> float:
    left = [v for v in values if not np.isnan(v)]
    return float(np.mean(left)) if left else float("nan")


def _resume(partial: Path | None, head: dict[str, Any]) -> list[Any]:
    if partial is None or not partial.is_file():
        return []
    try:
        kept = json.loads(partial.read_text(encoding="utf-8"))
        same = kept["head"] == head
        records = list(kept["records"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(partial)!r} is damaged ({error}); delete it to begin anew.") from None
    if not same:
        raise InputError(
            f"{str(partial)!r} is of another run ({kept['head']}); delete it, or name another output file."
        )
    return records


def _append(partial: Path, head: dict[str, Any], records: list[Any]) -> None:
    write(partial, json.dumps({"head": head, "records": records}).encode())
