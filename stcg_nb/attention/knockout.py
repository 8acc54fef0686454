"""Attention knockout: cut one or several attention edges inside the model and measure the effect on the answer.

A cut (Geva et al. 2023, arXiv 2304.14767) masks an edge before the softmax in every layer that has it, so its share of attention
goes to the remaining keys; everything else runs as before. Four kinds of edges lead from image and question to an answer token.
The first part of a kind's name is the end that attends:

``word_query``
    In the language model (its encoder, where it has one), a word's tokens cannot attend to a query token.
``query_region``
    In the Q-Former's cross-attention, a query token cannot attend to a region's patches. A patch belongs to the region that
    covers most of it. The vision model still reads it.
``step_word``, ``step_query``
    In the decoder, the position that predicts a step's token cannot attend to a word or to a query token. The cut may change
    later steps too, through the decoder's self-attention to that position; it never changes earlier steps.

Where the language model reads patches (LLaVA), ``word_region`` and ``step_region`` replace the kinds with query tokens.

The effect of an edge on a step is v with all edges minus v without this edge, where v is the log-odds of the answer's token in
nats: positive where the edge supports the token. The answer is teacher-forced. The vision model runs once for all edges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.models import Answer, Model, Trace
from stcg_nb.progress import progress

KINDS = ("word_query", "query_region", "step_word", "step_query")
"""The kinds of edges of a model with query tokens; `kinds` gives those of any model."""

CHUNK = 64  # cuts in one batch


@dataclass(frozen=True, eq=False)
class Cut:
    """An answer with all edges and without the chosen ones.

    Attributes:
        answer: The answer that is scored before and after the cut.
        p_before, p_after: Probability of each step's token, ``[step]``.
        v_before, v_after: Log-odds of each step's token in nats, ``[step]``.
        flipped: Whether greedy decoding without the edges gives another answer than `answer`.
        new_answer: The answer of greedy decoding without the edges; `answer` unless flipped.
    """

    answer: Answer
    p_before: np.ndarray
    p_after: np.ndarray
    v_before: np.ndarray
    v_after: np.ndarray
    flipped: bool
    new_answer: Answer

    @property
    def effect(self) -> np.ndarray:
        """The loss of each step's log-odds, nats, ``[step]``; positive where the edges support the token."""
        return self.v_before - self.v_after


def kinds(model: Model) -> tuple[str, ...]:
    """The kinds of edges that can be cut in a model.

    >>> from stcg_nb import load_model
    >>> kinds(load_model("mock")) == KINDS
    True
    """
    return tuple(edge.replace("patch", "region") for edge in model.edges)


def cut_effects(case: Case, kind: str) -> xr.DataArray:
    """The effect of cutting each edge of a kind, one at a time.

    Args:
        case: The case whose answer is scored.
        kind: One of the model's `kinds`.

    Returns:
        The loss of each step's log-odds when an edge is cut, nats, float64 ``[step, word, query]``, ``[step, query, region]``,
        ``[step, from_step, word]`` or ``[step, from_step, query]`` (with region for query where the language model reads
        patches). `from_step` is the step whose edge is cut.

    Raises:
        InputError: If `kind` is not one of the model's `kinds`.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock")
    >>> dict(cut_effects(case, "step_word").sizes)
    {'step': 3, 'from_step': 3, 'word': 3}
    """
    if kind not in kinds(case.model):
        raise InputError(f"{kind!r} is no kind of edge; valid are {', '.join(kinds(case.model))}.")
    ends = _ends(case, kind)
    n_edges = ends[0] * ends[1]
    whole = _traced(case, 1, {}).v[0]
    effect = np.empty((len(whole), n_edges))
    with progress(kind, n_edges, "edge") as advance:
        for start in range(0, n_edges, CHUNK):
            edges = np.arange(start, min(start + CHUNK, n_edges))
            cut = np.zeros((len(edges), n_edges), dtype=bool)
            cut[np.arange(len(edges)), edges] = True
            effect[:, edges] = (whole - _traced(case, len(edges), {kind: cut.reshape(-1, *ends)}).v).T
            advance(len(edges))
    first, second = kind.split("_")
    dims = ("step", "from_step" if first == "step" else first, second)
    return xr.DataArray(
        effect.reshape(-1, *ends),
        dims=dims,
        coords={name: coord for name, coord in _coords(case).items() if coord[0] in dims},
        name="effect",
        attrs={
            "units": "nats", "kind": kind, "question": case.prompt.question, "answer": case.answer.text,
            "model": case.model.name, "synthetic": case.model.synthetic,
        },
    )  # fmt: skip


def cut(case: Case, edges: Iterable[tuple[str, str]]) -> Cut:
    """Cut several edges at once.

    Args:
        case: The case whose answer is scored.
        edges: Pairs of nodes, in either order, such as ``("word:3", "query:5")``, ``("query:5", "region:7")``,
            ``("step:1", "word:3")`` or ``("step:1", "query:5")``.

    Raises:
        InputError: For nodes that do not exist or that no edge joins.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock")
    >>> without = cut(case, [("step:1", "word:0"), ("step:1", "word:2")])
    >>> without.answer.text, without.flipped, np.flatnonzero(without.effect).tolist()
    ('a made-up reply', True, [1])
    """
    masks: dict[str, np.ndarray] = {}
    for edge in edges:
        kind, place = _find(case, edge)
        masks.setdefault(kind, np.zeros((1, *_ends(case, kind)), dtype=bool))[0][place] = True
    # The first row has no cuts; one batch computes both rows alike.
    trace = _traced(case, 2, {kind: np.concatenate([np.zeros_like(mask), mask]) for kind, mask in masks.items()})
    flipped = bool(trace.flipped[1])
    new = case.answer
    if flipped:
        new = case.model.answer([case.image], case.prompt, cuts=_by_patch(case, masks))[0]
    return Cut(case.answer, trace.p[0], trace.p[1], trace.v[0], trace.v[1], flipped, new)


def _sizes(case: Case) -> dict[str, int]:
    """Number of nodes of each type. Of the two ends of an edge, the one whose type comes first here attends."""
    return {
        "step": len(case.answer.token_ids),
        "word": len(case.prompt.words),
        "query": case.layout.n_image_tokens,
        "region": case.regions.n,
    }


def _coords(case: Case) -> dict[str, tuple[str, Any]]:
    """xarray coordinates of every dimension that an effect may have."""
    sizes = _sizes(case)
    steps = np.arange(sizes["step"])
    return {
        "step": ("step", steps),
        "token": ("step", list(case.answer.tokens)),
        "from_step": ("from_step", steps),
        "word": ("word", [f"w{i}" for i in range(sizes["word"])]),
        "word_text": ("word", list(case.prompt.words)),
        "query": ("query", np.arange(sizes["query"])),
        "region": ("region", list(case.regions.names)),
    }


def _ends(case: Case, kind: str) -> tuple[int, int]:
    """Number of nodes at the attending and at the attended end of a kind of edges."""
    first, second = kind.split("_")
    return _sizes(case)[first], _sizes(case)[second]


def _find(case: Case, edge: tuple[str, str]) -> tuple[str, tuple[int, int]]:
    """An edge's kind, and its attending and attended node."""
    sizes, valid = _sizes(case), kinds(case.model)
    matches = [
        re.fullmatch(r"(step|word|query|region):(\d{1,6})", str(node))
        for node in (edge if isinstance(edge, tuple | list) else ())
    ]
    nodes = sorted(((m[1], int(m[2])) for m in matches if m), key=lambda node: list(sizes).index(node[0]))
    kind = "_".join(name for name, _ in nodes)
    if len(matches) != 2 or kind not in valid or any(i >= sizes[name] for name, i in nodes):
        ends = {end for known in valid for end in known.split("_")}
        valid_nodes = ", ".join(f"{name}:0 to {name}:{n - 1}" for name, n in sizes.items() if name in ends)
        raise InputError(f"{edge!r} is no edge; valid are pairs of {', '.join(valid)} among {valid_nodes}.")
    return kind, (nodes[0][1], nodes[1][1])


def _by_patch(case: Case, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cuts as `Model.trace` takes them: with patches for regions.

    Args:
        case: The case whose patches belong to regions.
        masks: For each kind which edges are cut, bool ``[row, attending, attended]``.
    """
    return {
        kind.replace("region", "patch"): case.patches_of(mask) if kind.endswith("region") else mask
        for kind, mask in masks.items()
    }


def _traced(case: Case, n_rows: int, masks: Mapping[str, np.ndarray]) -> Trace:
    """The teacher-forced trace of `n_rows` rows, each with its own cuts ``[row, attending, attended]`` by kind."""
    return case.trace(image_index=np.zeros(n_rows, dtype=int), cuts=_by_patch(case, masks))


def cut_edges(names: Iterable[str], case: Case) -> list[tuple[str, str]]:
    """The attention edges to cut for links of a graph.

    Args:
        names: Links, such as ``"word:3>step:1"`` or ``"region:7>step:1"``. For a region, the edges from all query tokens to it, or
            from the step where the language model reads patches.
        case: The case whose edges are cut.

    Raises:
        InputError: For a link that is not from a word or region to an answer token.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock")
    >>> cut_edges(["word:2>step:1"], case)
    [('step:1', 'word:2')]
    >>> len(cut_edges(["region:7>step:1", "region:7>step:2"], case))
    32
    """
    edges: dict[tuple[str, str], None] = {}
    for name in names:
        source, _, target = name.partition(">")
        kinds = source.partition(":")[0], target.partition(":")[0]
        if kinds == ("word", "step") or (kinds == ("region", "step") and "step_patch" in case.model.edges):
            edges[target, source] = None
        elif kinds == ("region", "step"):
            edges |= {(f"query:{q}", source): None for q in range(case.layout.n_image_tokens)}
        else:
            raise InputError(f"No attention carries {name!r}; valid are links of words or regions with answer tokens.")
    return list(edges)


def can_cut(name: str | None) -> bool:
    """Whether `cut_edges` accepts a link of a graph.

    >>> can_cut("word:3>step:1"), can_cut("region:1>region:2@0"), can_cut("word:3")
    (True, False, False)
    """
    source, _, target = (name or "").partition(">")
    return (source.partition(":")[0], target.partition(":")[0]) in (("word", "step"), ("region", "step"))
