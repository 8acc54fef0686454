"""Edge cutting: remove links inside the model, one or many, and see what the answer loses.

This is attention knockout (Geva et al. 2023, arXiv 2304.14767): an edge is masked before the softmax in every layer that
has it, so that its share of attention goes to what is left; everything else runs as before. Four kinds lie on the way
from image and question to an answer token, named with the end that attends first:

``word_query``
    In the language model (its encoder, where it has one), a word's tokens cannot attend to a query token.
``query_region``
    In the Q-Former's cross-attention, a query token cannot attend to a region's patches. A patch belongs to the region that
    covers most of it; the vision model has still seen it.
``step_word``, ``step_query``
    In the decoder, the position that predicts a step's token cannot attend to a word or to a query token. A later step
    may still lose by it, through the decoder's own attention to that position; an earlier one never does.

Where the language model reads patches (LLaVA), ``word_region`` and ``step_region`` take the place of those with query tokens.

The effect of an edge on a step is v with every edge less v without this one, v being the log-odds of the answer's token in
nats: positive where the edge supports the token. The answer is teacher-forced, and the vision model runs once for all edges.
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

KINDS = (
    "word_query",
    "query_region",
    "step_word",
    "step_query",
)  # of a model with query tokens; `kinds` says any model's
CHUNK = 64


@dataclass(frozen=True, eq=False)
class Cut:
    """An answer with all edges and without the chosen ones.

    Attributes:
        answer: The answer that is scored in both.
        p_before, p_after: Probability of each step's token, ``[step]``.
        v_before, v_after: The same as log-odds in nats, ``[step]``.
        flipped: Whether greedy decoding without the edges says anything else than `answer`.
        new_answer: What it says; `answer` unless flipped.
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
        """What each step's token loses, in nats, ``[step]``; positive where the edges support it."""
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
        case: Whose answer is scored.
        kind: One of the model's `kinds`.

    Returns:
        Nats, float64 ``[step, word, query]``, ``[step, query, region]``, ``[step, from_step, word]`` or
        ``[step, from_step, query]`` (or region for query): the loss of a step's token when an edge is cut, here at `from_step`.

    Raises:
        InputError: For another kind.

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
    """Remove chosen edges together.

    Args:
        case: Whose answer is scored.
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
    # A first row without cuts, so that both are computed alike.
    trace = _traced(case, 2, {kind: np.concatenate([np.zeros_like(mask), mask]) for kind, mask in masks.items()})
    flipped = bool(trace.flipped[1])
    new = case.answer
    if flipped:
        new = case.model.answer([case.image], case.prompt, cuts=_by_patch(case, masks))[0]
    return Cut(case.answer, trace.p[0], trace.p[1], trace.v[0], trace.v[1], flipped, new)


def _sizes(case: Case) -> dict[str, int]:
    """How many nodes there are; of two that an edge joins, the one that comes first here attends."""
    return {
        "step": len(case.answer.token_ids),
        "word": len(case.prompt.words),
        "query": case.model.n_queries,
        "region": case.regions.n,
    }


def _coords(case: Case) -> dict[str, tuple[str, Any]]:
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
    """How many nodes a kind of edges has at either end."""
    first, second = kind.split("_")
    return _sizes(case)[first], _sizes(case)[second]


def _find(case: Case, edge: tuple[str, str]) -> tuple[str, tuple[int, int]]:
    """An edge's kind and its place among those."""
    sizes, valid = _sizes(case), kinds(case.model)
    matches = [
        re.fullmatch(r"(step|word|query|region):(\d{1,6})", str(node))
        for node in (edge if isinstance(edge, tuple | list) else ())
    ]
    nodes = sorted(((m[1], int(m[2])) for m in matches if m), key=lambda node: list(sizes).index(node[0]))
    kind = "_".join(name for name, _ in nodes)
    if len(matches) != 2 or kind not in valid or any(i >= sizes[name] for name, i in nodes):
        ends = {end for known in valid for end in known.split("_")}
        there = ", ".join(f"{name}:0 to {name}:{n - 1}" for name, n in sizes.items() if name in ends)
        raise InputError(f"{edge!r} is no edge; valid are pairs of {', '.join(valid)} among {there}.")
    return kind, (nodes[0][1], nodes[1][1])


def _by_patch(case: Case, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Masks ``[row, end, end]`` by kind as a model takes them: with patches for regions."""
    return {
        kind.replace("region", "patch"): mask[..., case.patch_owner] if kind.endswith("region") else mask
        for kind, mask in masks.items()
    }


def _traced(case: Case, n_rows: int, masks: Mapping[str, np.ndarray]) -> Trace:
    return case.trace(image_index=np.zeros(n_rows, dtype=int), cuts=_by_patch(case, masks))


def cut_edges(names: Iterable[str], model: Model) -> list[tuple[str, str]]:
    """The edges of attention to cut for links of a graph.

    Args:
        names: Links, such as ``"word:3>step:1"`` or ``"region:7>step:1"``.
        model: Whose query tokens there are.

    Raises:
        InputError: For what no attention carries.

    >>> from stcg_nb import load_model
    >>> cut_edges(["word:3>step:1"], load_model("mock"))
    [('step:1', 'word:3')]
    >>> len(cut_edges(["region:7>step:1", "region:7>step:2"], load_model("mock")))
    32
    """
    edges: dict[tuple[str, str], None] = {}
    for name in names:
        source, _, target = name.partition(">")
        kinds = source.partition(":")[0], target.partition(":")[0]
        if kinds == ("word", "step"):
            edges[target, source] = None
        elif kinds == ("region", "step"):
            edges |= {(f"query:{q}", source): None for q in range(model.n_queries)}
        else:
            raise InputError(f"No attention carries {name!r}; valid are links of words or regions with answer tokens.")
    return list(edges)


def can_cut(name: str | None) -> bool:
    """Whether a link can be cut.

    >>> can_cut("word:3>step:1"), can_cut("region:1>region:2@0"), can_cut("word:3")
    (True, False, False)
    """
    source, _, target = (name or "").partition(">")
    return (source.partition(":")[0], target.partition(":")[0]) in (("word", "step"), ("region", "step"))
