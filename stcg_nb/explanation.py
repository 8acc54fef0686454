"""`explain`: from an image and a question to an STCG.

1. The model answers greedily; every later run teacher-forces this answer.
2. The image and all its perturbations run in one batch: delta W, delta p, flips.
3. An estimator aligns words and answer steps with patches by attention; each patch is split among the regions by area.
4. Leave-one-out: each word is cut and each region removed, one at a time; the effect is the loss of each step's log-odds. These are
   interventions, so they show what the answer rests on, while attention only correlates with it.
5. A causal graph is fitted to masks that remove several players at once (`stcg_nb.interventions.causal_graph`). It adds interactions,
   verdicts on attention, and how far it can be trusted; further fills tell what depends on the fill. The STCG keeps alignment and
   causal weights side by side.
6. The whole image is blanked: the loss of each step's log-odds is its visual reliance.
7. Persistence and drift over the answer's steps are tested against the same steps in other orders (`stcg_nb.graph.temporal`). They
   use causal links if a causal graph was fitted, else links by attention.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import transformers

from stcg_nb.attention.alignment import Alignment, aligned, traced_attention
from stcg_nb.case import Case, Image
from stcg_nb.graph import temporal
from stcg_nb.graph.build import build
from stcg_nb.graph.links import links_by_cause
from stcg_nb.graph.schema import MATTERS
from stcg_nb.graph.stcg import STCG
from stcg_nb.inputs.images import blank, read_image, thumbnail
from stcg_nb.inputs.perturbations import Perturbed, perturb
from stcg_nb.inputs.regions import Regions, make_regions
from stcg_nb.interventions.causal_graph import Causes, find_causes
from stcg_nb.interventions.graph_arrays import Arrays, causal_effects, grouped, single_effects
from stcg_nb.interventions.groups import Group, find_groups
from stcg_nb.interventions.masking import Game, without
from stcg_nb.interventions.perturbation_effects import delta_p, delta_w, delta_w_js
from stcg_nb.interventions.robust import under_fills
from stcg_nb.interventions.verdicts import attended
from stcg_nb.models.protocol import Model, Trace
from stcg_nb.options import Options, help_text
from stcg_nb.stats.divergence import normalised

THUMBNAIL = 160  # pixels of the longer side of a perturbed image's thumbnail


def explain(
    image: Image, question: str, model: str | Model = "tiny", options: Options | None = None, **changes: Any
) -> STCG:
    """Explain the answer of a model to a question about an image.

        Args:
            image: A path, a PIL image, or an array ``[height, width, 3]``.
            question: The question alone; the model's prompt template is added to it.
            model: A loaded model, or a name for `stcg_nb.load_model`.
            options: All options as one record; the defaults if left out.
            changes: Options by name, which override `options`:
    {options}

        Returns:
            The graph, with words ``[word]``, regions ``[region]`` and answer steps ``[step]``.

        Raises:
            InputError: If the image, question or an option is invalid.
            ModelError: If the model cannot be loaded.

        >>> from stcg_nb.scenes import make_scene
        >>> stcg = explain(make_scene(1).image, "what is left of the car?", "mock", masks=0)
        >>> stcg.words
        ('what', 'is', 'left', 'of', 'the', 'car')
    """
    options = (options or Options()).but(**changes)
    whole = read_image(image)
    whole_regions = make_regions(whole, options.regions)
    case = Case.read(whole, question, model, regions=whole_regions)
    perturbed = [perturb(case.image, name, options.strength, options.seed) for name in options.perturbations]
    images = [case.image, *(p.image for p in perturbed)]

    trace, by_patch = traced_attention(case, images)
    by_attention = by_patch.by_region(case)
    game = Game(case, options.removal)
    causes = find_causes(game, options.masks, options.seed) if options.masks else None
    effect = causes.node if causes else (trace.v[0] - game(without(game.n_players))).T
    reliance = trace.v[0] - case.trace([blank(case.image)]).v[0]
    # The trace above has read attention already; another estimator needs a forward pass of its own.
    by_estimator = options.estimator != "attention"
    alignment = aligned(case, options.estimator).by_region(case) if by_estimator else by_attention.row(0)
    causal = _causal(game, causes, effect, options)
    linked = alignment.step_patch if causes is None else links_by_cause(causal).step_region
    in_time, tests = _in_time(linked, effect, reliance, options.seed)
    return build(
        {
            **_inputs(case, whole, whole_regions, trace),
            "word_region": alignment.word_patch, "step_region": alignment.step_patch, "step_word": alignment.step_word,
            **_shares(by_attention.row(0)), **causal,
            "visual_reliance": reliance, **in_time, **_perturbed(case, perturbed, trace, by_attention),
        },
        whole_regions.names,
        [p.name for p in perturbed],
        {**_provenance(case, options, causes), "p_answer": float(trace.p[0].prod()), **tests},
    )  # fmt: skip


def _with_options(function: Any) -> None:
    """Add the options to the signature and the docstring of a function that takes them as keyword arguments, for editors and
    `help`."""
    signature = inspect.signature(function, eval_str=False)
    fields = Options.model_fields
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
        for name, field in fields.items()
    ]
    others = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*others, *keywords])
    listed = "\n".join(f"            ``{name}``: {help_text(name)}." for name in fields)
    function.__doc__ = (inspect.getdoc(function) or "").replace("{options}", listed)


_with_options(explain)


def _causal(game: Game, causes: Causes | None, effect: np.ndarray, options: Options) -> Arrays:
    """The causal arrays: from leave-one-out effects in nats, ``[step, player]``, and the causal graph if one was fitted."""
    if causes is None:
        return single_effects(effect, game.n_words)
    case = game.case
    heads = case.model.heads(case.image, case.prompt, case.answer)
    ranges = under_fills(game, causes, options.fills)
    arrays = causal_effects(game.n_words, causes, ranges, attended(case, heads, options.seed))
    return {**arrays, **grouped(_groups(game, causes), game.case.regions.n)}


def _groups(game: Game, causes: Causes) -> list[Group]:
    """Groups of regions, from the pairs of regions that were tried."""
    pairs = causes.pairs
    known = causes.tried[: len(pairs)] & (pairs[:, 0] >= game.n_words)
    effects = causes.node[:, game.n_words :]
    return find_groups(game, effects, pairs[known] - game.n_words, causes.edge[:, known], MATTERS)


def _shares(by_attention: Alignment) -> Arrays:
    """What part of attention each edge has: the shares that verdicts look at, whatever the estimator."""
    return {
        "word_share": normalised(by_attention.step_word), "region_share": normalised(by_attention.step_patch),
        "word_region_share": normalised(by_attention.word_patch),
    }  # fmt: skip


def _inputs(case: Case, image: np.ndarray, regions: Regions, trace: Trace) -> Arrays:
    """The arrays of question and answer, and the image ``[height, width, 3]`` and its regions at their original size."""
    return {
        "word_text": np.array(case.prompt.words), "token_text": np.array(case.answer.tokens), "image": image,
        "region_labels": regions.labels, "region_box": regions.boxes.astype(np.int64), "p": trace.p[0], "v": trace.v[0],
    }  # fmt: skip


def _in_time(links: np.ndarray, effect: np.ndarray, reliance: np.ndarray, seed: int) -> tuple[Arrays, dict[str, Any]]:
    """How links, effects and reliance change from step to step, as arrays and as tests against other orders of the steps.

    Args:
        links: Links from steps to regions, ``[step, region]``.
        effect: Leave-one-out effects, nats, ``[step, player]``.
        reliance: Visual reliance, nats, ``[step]``.
        seed: Seeds the random orders.
    """
    spread = temporal.entropy(links)
    order_js, order_p, orders = temporal.order_test(links, seed)
    tests = {
        "persistence": temporal.persistence_test(effect, seed=seed),
        "reliance_trend": temporal.trend_test(reliance, seed),
        "entropy_trend": temporal.trend_test(spread, seed),
    }
    arrays = {
        "entropy": spread, "js_previous": temporal.js_previous(links), "top_overlap": temporal.top_overlap(links),
    }  # fmt: skip
    attrs: dict[str, Any] = {"order_js": order_js, "order_p": order_p, "orders": orders}
    for name, (value, p, _) in tests.items():
        attrs |= {name: value, f"{name}_p": p}
    return arrays, attrs


def _perturbed(case: Case, perturbed: Sequence[Perturbed], trace: Trace, links: Alignment) -> Arrays:
    """The arrays of the perturbations. Row 0 of `trace` and `links` is the unperturbed image."""
    w0, wk = links.word_patch[0], links.word_patch[1:]
    thumbs = [thumbnail(p.image, THUMBNAIL) for p in perturbed]
    empty = np.zeros((0, *thumbnail(case.image, THUMBNAIL).shape), np.uint8)
    answers = case.model.answer([p.image for p in perturbed], case.prompt)
    return {
        "strength": np.array([p.strength for p in perturbed], dtype=float),
        "pixel_distance": np.array([p.pixel_distance for p in perturbed], dtype=float),
        "delta_w": delta_w(wk, w0), "delta_w_js": delta_w_js(wk, w0), "delta_p": delta_p(trace.p[1:], trace.p[0]),
        "flipped": trace.flipped[1:], "perturbed_p": trace.p[1:], "perturbed_step_region": links.step_patch[1:],
        "perturbed_answer": np.array([a.text for a in answers], dtype=str),
        "thumbnail": np.stack(thumbs) if thumbs else empty,
    }  # fmt: skip


def _provenance(case: Case, options: Options, causes: Causes | None) -> dict[str, Any]:
    """The graph's attributes: question, answer, model, options and versions."""
    return {
        "question": case.prompt.question, "answer": case.answer.text,
        "model": case.model.name, "model_revision": case.model.revision, "synthetic": case.model.synthetic,
        "estimator": options.estimator, "regions": options.regions if isinstance(options.regions, str) else "custom",
        "removal": options.removal, "fills": ", ".join(options.fills), "seed": options.seed,
        "masks": len(causes.masks) if causes else 0, "masks_asked": str(options.masks),
        **_trust(causes),
        "stcg_version": version("stcg-nb"), "created_with": f"torch {torch.__version__}, transformers {transformers.__version__}",
    }  # fmt: skip


def _trust(causes: Causes | None) -> dict[str, float | None]:
    """Trust and its interval; None where it is not defined; nothing without a causal graph."""
    if causes is None:
        return {}
    ends = zip(("trust", "trust_low", "trust_high"), causes.trust, strict=True)
    return {name: None if np.isnan(causes.trust.value) else float(end) for name, end in ends}
