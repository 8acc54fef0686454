"""The faithfulness card as a figure: every measure with its interval, baselines and sanity checks beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from stcg_nb.errors import InputError
from stcg_nb.viz.theme import FONT, INK, NEUTRAL, OPPOSES, SUPPORTS, WIDTH, escape

OURS, BASELINE, SANITY = "the causal graph", "baseline", "sanity check: must be near 0"
COLORS = {OURS: (SUPPORTS, "circle"), BASELINE: (NEUTRAL, "square"), SANITY: (OPPOSES, "diamond")}
ROWS: tuple[tuple[str, str, str], ...] = (
    ("lds", "predicts unseen masks: all that was learnt", OURS),
    ("lds_graph", "… its few links alone", OURS),
    ("lds_loo", "… sum of exact leave-one-out effects", BASELINE),
    ("lds_attention", "… raw attention", BASELINE),
    ("lds_random", "… random weights", BASELINE),
    ("lds_randomised_weights", "… of a model with shuffled weights", SANITY),
    ("lds_shuffled_masks", "… when learnt from shuffled masks", SANITY),
    ("seed_faithfulness", "nodes agree with leave-one-out", OURS),
    ("interaction_faithfulness", "pairs agree with exact factorials", OURS),
    ("jaccard_masks", "same strongest pairs with other masks", OURS),
    ("jaccard_noise", "… with noise, JPEG, brightness", OURS),
    ("pointing", "strongest region on the evidence", OURS),
    ("relevance_mass", "share of relevance on the evidence", OURS),
    ("relevance_rank", "most relevant pixels on the evidence", OURS),
    ("srg", "removal: weakest first less strongest first", OURS),
)


def card_figure(card: Mapping[str, Any]) -> go.Figure:
    """The card of many questions (`stcg_nb.faithfulness.card.measure_card`), or of one
    (`stcg_nb.faithfulness.card.measure_game`), which has no intervals.

    Raises:
        InputError: If it is no card.
    """
    missing = [key for key, *_ in ROWS if key not in card]
    if missing:
        raise InputError(f"This is no faithfulness card: it has no {missing[0]!r}; give what `stcg card` measured.")
    entries = {key: card[key] if isinstance(card[key], Mapping) else {"value": card[key]} for key, *_ in ROWS}
    figure = go.Figure()
    for kind, (color, symbol) in COLORS.items():
        rows = [
            (y, entries[key]) for y, (key, _, k) in enumerate(ROWS) if k == kind and entries[key]["value"] is not None
        ]
        value = [e["value"] for _, e in rows]
        high, low = (
            [e.get(side) if e.get(side) is not None else e["value"] for _, e in rows] for side in ("high", "low")
        )
        figure.add_scatter(
            x=[round(v, 3) for v in value], y=[y for y, _ in rows], mode="markers", name=kind,
            marker={"color": color, "symbol": symbol, "size": 11},
            error_x={
                "type": "data", "symmetric": False, "color": color, "thickness": 2, "width": 5,
                "array": [round(h - v, 3) for h, v in zip(high, value, strict=True)],
                "arrayminus": [round(v - lo, 3) for lo, v in zip(low, value, strict=True)],
            },
        )  # fmt: skip
    for y, (key, *_) in enumerate(ROWS):
        value = entries[key]["value"]
        text = "not defined" if value is None else f"{value:.2f}"
        figure.add_annotation(
            x=1.01, xref="paper", y=y, text=text, showarrow=False, xanchor="left", font={"size": 13, "color": INK}
        )
    many = "n" in card
    told = (
        f"{card['n']} questions about fresh scenes, {card['masks']} masks each; mean and 95 % interval, clustered by image"
        if many
        else "one explanation; no interval"
    )
    model = f" · {escape(str(card['model']), 60)}" if "model" in card else ""
    figure.update_layout(
        template="none", width=WIDTH, height=600, font=FONT, paper_bgcolor="white", plot_bgcolor="white",
        title={"text": f"<b>Faithfulness card</b>{model}<br><span style='font-size:13px'>{told}</span>", "x": 0.01,
               "xanchor": "left", "font": {"size": 16}},
        margin={"l": 335, "r": 75, "t": 70, "b": 75}, legend={"orientation": "h", "x": -0.55, "y": -0.1},
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(ROWS))), ticktext=[label for _, label, _ in ROWS], range=[len(ROWS) - 0.4, -0.6],
        showgrid=True, gridcolor="#eeeeee", zeroline=False, tickfont={"size": 13},
    )  # fmt: skip
    figure.update_xaxes(range=[-0.25, 1.02], zeroline=True, zerolinecolor=INK, gridcolor="#e5e5e5", dtick=0.25)
    return figure
