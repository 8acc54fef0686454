"""From an image and a question to an STCG: the one verb of the package.

1. The model answers greedily; the answer is then teacher-forced in every counterfactual run.
2. Every perturbation of the image runs in one batch with the image itself: delta W, delta p, flips.
3. The estimator aligns words and answer steps with patches; regions gather their share of each patch.
4. Each word is cut and each region is absent, one at a time (leave one out): the effect on each step's log-odds. These are
   interventions, so they say what the answer rests on where attention only correlates. What several do together the
   estimator `causal` finds (`stcg_nb.interventions.causal_graph`): it aligns by effects, and gives intervals, interactions and
   verdicts.
5. The image is blanked as a whole: the visual reliance of each step.
6. What lasts and what drifts over the answer, each against the same steps in any other order (`stcg_nb.graph.temporal`,
   `stcg_nb.graph.persistence`): movement of the links, persistence of the strongest effects, trends of reliance and spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from os import PathLike
from typing import Any

import cv2
import numpy as np
import torch
import transformers
import xarray as xr

from stcg_nb.attention.alignment import ESTIMATORS as BY_ATTENTION
from stcg_nb.attention.alignment import Alignment, align, needed_sites
from stcg_nb.errors import InputError
from stcg_nb.graph import temporal
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.temporal import persistence_test, trend_test
from stcg_nb.inputs.images import read_image, thumbnail
from stcg_nb.inputs.perturbations import DEFAULT, perturb
from stcg_nb.inputs.regions import Regions, make_regions
from stcg_nb.interventions.causal_graph import Causes, check_masks, find_causes, without
from stcg_nb.interventions.masking import Game, check_absent
from stcg_nb.interventions.perturbation_effects import delta_p, delta_w, delta_w_js
from stcg_nb.interventions.verdicts import attended, verdict
from stcg_nb.models import Answer, Model, Prompt, load_model

CAUSAL = "causal"
ESTIMATORS = (*BY_ATTENTION, CAUSAL)
WORKING_SIDE = 1024  # pixels; a larger picture is scaled down first, since a model sees a few hundred
THUMBNAIL = 160


def explain(
    image: str | PathLike[str] | np.ndarray | Any,
    question: str,
    model: str | Model = "tiny",
    *,
    estimator: str = CAUSAL,
    regions: str | Regions = "slic",
    perturbations: Sequence[str] = DEFAULT,
    strength: float = 0.5,
    seed: int = 0,
    masks: int = 256,
    absent: str = "median",
) -> STCG:
    """Explain the answer of a model to a question about an image.

    Args:
        image: A path, a PIL image, or an array ``[height, width, 3]``.
        question: In words; the model's prompt goes around it.
        model: A loaded model, or a name for `load_model`.
        estimator: How words and steps are aligned with regions: ``"causal"`` (default), which fits a causal graph to random masks
            (`stcg_nb.interventions.causal_graph`) and gives edges intervals and verdicts; or, by one forward pass,
            ``"attention"``, ``"rollout"`` or
            ``"gradient"``.
        regions: ``"slic"``, ``"slic:30"``, ``"grid"``, ``"grid:8x8"`` or `Regions` of your own.
        perturbations: Names from `stcg_nb.inputs.perturbations.PERTURBATIONS`.
        strength: Of the perturbations, in [0, 1].
        seed: Of the perturbations that draw at random, and of the causal estimator.
        masks: That the causal estimator tries, each a forward pass; the others need none.
        absent: What an absent region is, one of `stcg_nb.interventions.masking.ABSENCES`: filled, or cut from the Q-Former.

    Returns:
        The graph, with words ``[word]``, regions ``[region]`` and answer steps ``[step]``.

    Raises:
        InputError: For an image, question, estimator, regions or perturbation that cannot be used.
        ModelError: If the model cannot be loaded.

    >>> from stcg_nb.scenes.pictures import make_scene
    >>> stcg = explain(make_scene(1).image, "what is left of the car?", "mock")
    >>> stcg.words
    ('what', 'is', 'left', 'of', 'the', 'car')
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"{estimator!r} is no estimator; valid are {', '.join(ESTIMATORS)}.")
    check_absent(absent)
    if estimator == CAUSAL:
        check_masks(masks)
    whole = read_image(image)
    whole_parts = make_regions(whole, regions)
    picture, parts = _working_copy(whole, whole_parts)
    perturbed = [perturb(picture, name, strength=strength, seed=seed) for name in perturbations]
    if isinstance(model, str):
        model = load_model(model)
    prompt = model.prompt(question)
    answer = model.answer([picture], prompt)[0]

    images = [picture, *(p.image for p in perturbed)]
    trace = model.trace(images, prompt, answer, capture=needed_sites("attention", model.sites))
    by_attention = _gather(align("attention", trace.attention, model, prompt), parts, model)
    game = Game(model, picture, prompt, answer, parts, absent)
    causes = find_causes(game, masks, seed) if estimator == CAUSAL else None
    alone = without(game.n_players)
    effect = (trace.v[0] - (game(alone) if causes is None else causes.measure(game, alone))).T  # [step, player]
    blank = np.broadcast_to(picture.mean((0, 1)).round().astype(np.uint8), picture.shape).copy()
    reliance = trace.v[0] - model.trace([blank], prompt, answer).v[0]
    if causes is not None:
        linked = attended({site: m[0] for site, m in trace.attention.items()}, model, prompt, parts, seed)
        causal = _causal(game, causes, effect, linked)
        aligned = _aligned_by_cause(causal, game)
    else:
        causal = _exact(effect, len(prompt.words))
        aligned = _estimate(estimator, picture, prompt, answer, model, parts, by_attention)

    w0, wk = by_attention.word_patch[0], by_attention.word_patch[1:]
    steps = aligned.step_patch
    order_js, order_p, orders = temporal.order_test(steps, seed)
    persistence, persistence_p, _ = persistence_test(effect, seed=seed)
    reliance_trend, reliance_trend_p, _ = trend_test(reliance, seed)
    entropy_trend, entropy_trend_p, _ = trend_test(temporal.entropy(steps), seed)
    per = "perturbation"
    thumbs = [thumbnail(p.image, THUMBNAIL) for p in perturbed]
    dataset = xr.Dataset(
        {
            "word_text": ("word", np.array(prompt.words)),
            "token_text": ("step", np.array(answer.tokens)),
            "image": (("y", "x", "channel"), whole),
            "region_labels": (("y", "x"), whole_parts.labels),
            "region_box": (("region", "box"), whole_parts.boxes.astype(np.int64)),
            "p": ("step", trace.p[0]),
            "v": ("step", trace.v[0]),
            "word_region": (("word", "region"), aligned.word_patch),
            "step_region": (("step", "region"), steps),
            "step_word": (("step", "word"), aligned.step_word),
            "word_effect": (("step", "word"), effect[:, : game.n_words]),
            "region_effect": (("step", "region"), effect[:, game.n_words :]),
            **causal,
            "visual_reliance": ("step", reliance),
            "entropy": ("step", temporal.entropy(steps)),
            "js_previous": ("step", temporal.js_previous(steps)),
            "top_overlap": ("step", temporal.top_overlap(steps)),
            "strength": (per, np.array([p.strength for p in perturbed], dtype=float)),
            "pixel_distance": (per, np.array([p.pixel_distance for p in perturbed], dtype=float)),
            "delta_w": (per, delta_w(wk, w0)),
            "delta_w_js": (per, delta_w_js(wk, w0)),
            "delta_p": (per, delta_p(trace.p[1:], trace.p[0])),
            "flipped": (per, trace.flipped[1:]),
            "perturbed_p": ((per, "step"), trace.p[1:]),
            "perturbed_step_region": ((per, "step", "region"), by_attention.step_patch[1:]),
            "perturbed_answer": (per, np.array([a.text for a in model.answer(images[1:], prompt)], dtype=str)),
            "thumbnail": (
                (per, "ty", "tx", "channel"),
                np.stack(thumbs) if thumbs else np.zeros((0, *thumbnail(picture, THUMBNAIL).shape), np.uint8),
            ),
        },
        coords={
            "word": [f"w{i}" for i in range(len(prompt.words))],
            "region": list(parts.names),
            "step": np.arange(len(answer.tokens)),
            per: np.array([p.name for p in perturbed], dtype=str),
            "box": ["x0", "y0", "x1", "y1"],
        },
        attrs={
            "question": prompt.question,
            "answer": answer.text,
            "model": model.name,
            "model_revision": model.revision,
            "synthetic": model.synthetic,
            "estimator": estimator,
            "regions": regions if isinstance(regions, str) else "custom",
            "absent": absent,
            "masks": masks if estimator == CAUSAL else 0,
            "seed": seed,
            "p_answer": float(trace.p[0].prod()),
            "order_js": order_js,
            "order_p": order_p,
            "orders": orders,
            "persistence": persistence,
            "persistence_p": persistence_p,
            "reliance_trend": reliance_trend,
            "reliance_trend_p": reliance_trend_p,
            "entropy_trend": entropy_trend,
            "entropy_trend_p": entropy_trend_p,
            "stcg_version": version("stcg-nb"),
            "created_with": f"torch {torch.__version__}, transformers {transformers.__version__}",
        },
    )
    return STCG(dataset)


def _working_copy(picture: np.ndarray, regions: Regions) -> tuple[np.ndarray, Regions]:
    """Picture ``[height, width, 3]`` and regions at the working size; as they are where a region would vanish."""
    small = thumbnail(picture, WORKING_SIDE)
    labels = cv2.resize(regions.labels, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    if np.unique(labels).size < regions.n:
        return picture, regions
    return small, Regions(labels, regions.names)


def _gather(alignment: Alignment, parts: Regions, model: Model) -> Alignment:
    """The same links with regions in place of patches: a region gathers its share of each patch."""
    share = parts.patch_weights(*model.grid, model.view(*parts.labels.shape)).T
    return Alignment(alignment.word_patch @ share, alignment.step_patch @ share, alignment.step_word)


def _estimate(
    estimator: str,
    picture: np.ndarray,
    prompt: Prompt,
    answer: Answer,
    model: Model,
    parts: Regions,
    by_attention: Alignment,
) -> Alignment:
    if estimator == "attention":
        return Alignment(by_attention.word_patch[0], by_attention.step_patch[0], by_attention.step_word[0])
    maps: Mapping[str, torch.Tensor]
    if estimator == "gradient":
        maps = model.relevance(picture, prompt, answer)
    else:
        captured = model.trace([picture], prompt, answer, capture=needed_sites(estimator, model.sites)).attention
        maps = {site: m[0] for site, m in captured.items()}
    return _gather(align(estimator, maps, model, prompt), parts, model)


Variables = dict[str, tuple[str | tuple[str, ...], np.ndarray]]


def _exact(effect: np.ndarray, words: int) -> Variables:
    """The causal variables of an STCG where nothing was sampled: effects ``[step, player]`` are their own intervals."""
    nothing = np.zeros(effect.shape)
    said = np.full(effect.shape, "", dtype=str)
    numbers = {k: ("link", np.zeros(0)) for k in ("link_weight", "link_low", "link_high", "link_coefficient")}
    places = {
        k: ("link", np.zeros(0, dtype=np.int64)) for k in ("link_source", "link_target", "link_third", "link_step")
    }
    return {
        **_by_player("low", effect, words), **_by_player("high", effect, words), **_by_player("verdict", said, words),
        **_by_player("coefficient", nothing, words), "intercept": ("step", nothing[:, 0]),
        **numbers, **places, "link_verdict": ("link", np.zeros(0, dtype=str)),
    }  # fmt: skip


def _causal(game: Game, causes: Causes, effect: np.ndarray, linked: Alignment) -> Variables:
    """The same from a causal graph; `linked` says what attention links."""
    words = game.n_words
    # Effects of one player are measured exactly; the surrogate says how sure it is of them.
    off = causes.node_high - causes.node
    sure = np.abs(effect) > off
    said = verdict(sure, np.concatenate([linked.step_word, linked.step_patch], axis=1))
    step, place = np.nonzero(causes.in_graph)
    source, target, third = causes.links[place].T
    word_region = (source < words) & (target >= words) & (third < 0)
    attention = np.zeros(len(place), dtype=bool)
    attention[word_region] = linked.word_patch[source[word_region], target[word_region] - words]
    # Attention has no edges between two words, two regions or three players that could confirm one.
    link_said = np.where(word_region, verdict(np.ones(len(place), dtype=bool), attention), "")

    def link(values: np.ndarray) -> tuple[str, np.ndarray]:
        return "link", values[step, place]

    return {
        **_by_player("low", effect - off, words), **_by_player("high", effect + off, words),
        **_by_player("verdict", said, words), **_by_player("coefficient", causes.node_coefficient, words),
        "intercept": ("step", causes.intercept),
        "link_source": ("link", source.astype(np.int64)), "link_target": ("link", target.astype(np.int64)),
        "link_third": ("link", third.astype(np.int64)), "link_step": ("link", step.astype(np.int64)),
        "link_weight": link(causes.weight), "link_low": link(causes.low), "link_high": link(causes.high),
        "link_coefficient": link(causes.link_coefficient), "link_verdict": ("link", link_said),
    }  # fmt: skip


def _by_player(name: str, values: np.ndarray, words: int) -> Variables:
    """``[step, player]`` as a variable of words and one of regions."""
    return {
        f"word_{name}": (("step", "word"), values[:, :words]),
        f"region_{name}": (("step", "region"), values[:, words:]),
    }


def _aligned_by_cause(causal: Variables, game: Game) -> Alignment:
    """Alignment from causal weights: steps with what supports them, words with regions by the strongest link of any step."""
    low, high = (np.concatenate([causal[f"word_{k}"][1], causal[f"region_{k}"][1]], axis=1) for k in ("low", "high"))
    supports = np.where(low > 0, (low + high) / 2, 0)
    both = np.zeros((game.n_players, game.n_players))
    pairs = causal["link_third"][1] < 0
    places = (causal["link_source"][1][pairs], causal["link_target"][1][pairs])
    np.maximum.at(both, places, np.abs(causal["link_weight"][1][pairs]))
    words = game.n_words
    return Alignment(both[:words, words:], supports[:, words:], supports[:, :words])
