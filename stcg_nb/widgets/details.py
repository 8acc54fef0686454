"""Tables about the chosen node or link and about cuts; and the lists of what can be chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stcg_nb.attention.knockout import Cut, can_cut
from stcg_nb.graph.selection import (
    TOGETHER,
    View,
    choose,
    ends,
    link_name,
    node_labels,
    players,
    shows,
    surely_beyond,
    touches,
)
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.graph.trust import range_head, range_said
from stcg_nb.widgets.markup import hint, table, text

ROWS = 12
LISTED = 300
KINDS = {"word": "word", "region": "region", "step": "token"}
SIGN = {"confirmed": "✓", "spurious": "✗", "hidden": "◌", "unclear": "?", "none": "·"}
HEADS = ("share of attention", "rank", "verdict")


def node_choices(stcg: STCG) -> list[tuple[str, str]]:
    """Label and name of every node."""
    return [(_said(node, label), node) for node, label in node_labels(stcg).items()]


def link_choices(stcg: STCG, view: View | None = None) -> list[tuple[str, str]]:
    """Label and name of the links of a view, strongest first; of every link without one."""
    labels = node_labels(stcg)
    edges = stcg.edges() if view is None else choose(stcg, view).drawn[:LISTED]
    return [(f"{_ends_said(e, labels)}: {e.weight:+.2g}", link_name(e)) for e in edges if e.kind != "temporal"]


def details(stcg: STCG, view: View, picked: str | None) -> str:
    """HTML about what is chosen: a node's numbers and its strongest links, or a link's weights of each kind."""
    if picked is None:
        return hint("Click a word, a region, a token or the dot of a link.")
    return _of_link(stcg, picked) if ">" in picked else _of_node(stcg, view, picked)


def cut_details(found: Cut | None, cuts: Sequence[str], picked: str | None) -> str:
    """HTML about cuts: what they did to the answer, or how a link is cut.

    Args:
        found: What the cuts did; None if it is not measured.
        cuts: The links that are cut.
        picked: The chosen node or link.
    """
    if not cuts and picked is not None and ">" in picked and not can_cut(picked):
        return hint("No attention carries this link; those between a word or region and a token can be cut.")
    if not cuts:
        return hint("Choose a link by its dot or in the list, then cut it.")
    if found is None:
        return f"{len(cuts)} cut"
    rows = [
        (token, f"{before:.2f}", f"{after:.2f}", f"{effect:+.2f}")
        for token, before, after, effect in zip(
            found.answer.tokens, found.p_before, found.p_after, found.effect, strict=True
        )
    ]
    new = f"The model now says <b>{text(found.new_answer.text)}</b>." if found.flipped else "The answer stays the same."
    region = any(name.startswith("region:") for name in cuts)
    note = " A cut region is hidden from every token." if region else ""
    return f"{new}{note}{table(('token', 'p before', 'p after', 'lost (nats)'), rows)}"


def _of_node(stcg: STCG, view: View, node: str) -> str:
    labels = node_labels(stcg)
    kind, i = node.split(":")
    lines = [f"<b>{text(_said(node, labels[node]))}</b>"]
    if kind == "step":
        at = stcg.data.isel(step=int(i))
        numbers = [("p", "p", ""), ("log-odds", "v", " nats"), ("lost without the picture", "visual_reliance", " nats"),
                   ("spread of its links", "entropy", " nats"), ("moved since the last token", "js_previous", " (0–1)")]  # fmt: skip
        lines += [
            f"{name}: {value:.2f}{unit}" for name, key, unit in numbers if not math.isnan(value := float(at[key]))
        ]
    if kind == "region":
        x0, y0, x1, y1 = stcg.data["region_box"].values[int(i)].tolist()
        lines.append(f"pixels {x0} to {x1 - 1} across, {y0} to {y1 - 1} down")
    edges = [e for e in stcg.edges() if shows(view, e) and touches(e, node) and e.weight]
    edges.sort(key=lambda e: (not surely_beyond(e), -abs(e.weight)))
    rows = []
    for e in edges[:ROWS]:
        others = [n for n in players(e) if n != node]
        other = " and ".join(_said(n, labels[n]) for n in others)
        at_step = f" at {stcg.steps[e.step]}" if e.kind in TOGETHER and e.step is not None else ""
        rows.append((other + at_step, *_numbers(e)))
    if not rows:
        return "<br>".join([*lines, hint("No links of this kind.")])
    more = f"<br>{hint(f'and {len(edges) - ROWS} weaker ones')}" if len(edges) > ROWS else ""
    unit = "alignment" if view.links == "alignment" else "nats"
    return "<br>".join(lines) + table(("with", unit, range_head(stcg), *HEADS), rows) + more


def _of_link(stcg: STCG, name: str) -> str:
    labels = node_labels(stcg)
    parts = ends(name)
    found = [
        e for e in stcg.edges() if link_name(e) == name or ([e.source, e.target] == parts and e.kind not in TOGETHER)
    ]
    found.sort(key=lambda e: link_name(e) != name)
    rows = [(_KIND_SAID[e.kind], *_numbers(e)) for e in found if e.kind in _KIND_SAID]
    title = text(_ends_said(found[0], labels)) if found else ""
    return f"<b>{title}</b>{table(('', 'weight', range_head(stcg), *HEADS), rows)}"


_KIND_SAID = {"counterfactual": "lost without it (nats)", "alignment": "linked", "interaction": "together (nats)",
              "triple": "three together (nats)"}  # fmt: skip


def _numbers(edge: Edge) -> tuple[str, ...]:
    """A link's weight, how it is known, and its cells under `HEADS`."""
    verdict = f"{SIGN[edge.verdict]} {edge.verdict}" if edge.verdict else "–"
    attention = ("–", "–") if edge.share is None else (f"{edge.share:.2f}", str(edge.rank))
    return f"{edge.weight:+.3g}", range_said(edge, ".2f"), *attention, verdict


def _ends_said(edge: Edge, labels: dict[str, str]) -> str:
    together = edge.kind in TOGETHER
    named = (" + " if together else " → ").join(_said(n, labels[n]) for n in players(edge))
    return f"{named} at {labels[f'step:{edge.step}']}" if together else named


def _said(node: str, label: str) -> str:
    short = label if len(label) <= 24 else label[:23] + "…"
    return f"{KINDS[node.split(':')[0]]} {short}"
