"""How effects and links change with the fill: the screen and the tried links of a graph, measured again under other fills.

What a region is worth depends on what stands in its place (Bluecher et al. 2024, arXiv 2401.06654). Only the full input, the inputs
without each player and those that the graph's links need are run again, not all masks. The result is the range over the fills. A
weight whose range holds zero is not robust, and a figure leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILLS
from stcg_nb.interventions.causal_graph import Causes
from stcg_nb.interventions.masking import Game


class Ranges(NamedTuple):
    """Ranges over the fills, nats: of nodes ``[step, player]`` and of links ``[step, link]``."""

    node_low: np.ndarray
    node_high: np.ndarray
    low: np.ndarray
    high: np.ndarray


def check_fills(removal: str, fills: Sequence[str]) -> None:
    """Raise `InputError` for other fills of a graph whose regions are cut, not filled."""
    if fills and removal not in FILLS:
        raise InputError(
            f"Regions are removed by {removal!r} and fills are {', '.join(fills)}; cutting is another estimand than filling, so "
            "give no fills, or a removal that fills."
        )


def under_fills(game: Game, causes: Causes, fills: Sequence[str]) -> Ranges:
    """Measure a graph under other fills.

    Args:
        game: The game of the graph, whose regions are filled.
        causes: The graph.
        fills: Other fills, of `FILLS`. With none, every range is the weight itself.

    Raises:
        InputError: If the game cuts attention in place of filling, which is another estimand.
    """
    check_fills(game.removal, fills)
    contrasts = causes.contrasts
    held = causes.in_graph.any(0)
    needed = np.unique(contrasts.matrix[np.flatnonzero(held)].indices)
    needed = np.union1d(np.arange(len(contrasts.alone)), needed)
    nodes, weights = [causes.node], [causes.weight]
    for fill in fills:
        if fill == game.removal:
            continue
        values = np.zeros((len(contrasts.probes), len(causes.node)))
        values[needed] = replace(game, removal=fill)(contrasts.probes[needed])
        node, weight = contrasts.weights(values)
        nodes.append(node.T)
        weights.append(np.where(held, weight.T, causes.weight))
    return Ranges(np.min(nodes, 0), np.max(nodes, 0), np.min(weights, 0), np.max(weights, 0))
