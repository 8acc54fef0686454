"""From links of a graph to the edges of attention that carry them, to be cut by `stcg_nb.cutting`.

A link between a word and a step is one edge. Nothing joins a region with a word or a step directly: what they have of it came through
the query tokens. Cutting such a link cuts what it came through, for all of them:

====================  ==================================================================================================
link                  edges
====================  ==================================================================================================
word and step         that step's attention to the word
region and step       every query token's attention to the region: no step sees it any more through the Q-Former
====================  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable

from stcg_nb.errors import InputError
from stcg_nb.models import Model


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
