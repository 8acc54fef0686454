"""The faithfulness card as a figure: every measure with its interval, baselines and sanity checks beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from stcg_nb.errors import InputError
from stcg_nb.viz.theme import FONT, INK, NEUTRAL, OPPOSES, SUPPORTS, WIDTH, error_bars, escape

OURS, BASELINE, SANITY = "the causal graph", "baseline", "sanity check: must be near 0"
LOOKS = {OURS: (SUPPORTS, "circle"), BASELINE: (NEUTRAL, "square"), SANITY: (OPPOSES, "diamond")}
# Key in the card, label, and kind of each row, from top to bottom.
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
    """The faithfulness card as a figure.

    Args:
        card: Of many questions (`stcg_nb.faithfulness.card.measure_card`), or of one (`stcg_nb.faithfulness.card.measure_game`),
            which has no intervals.

    Raises:
        InputError: If it is no card.
    """
    missing = [key for key, *_ in ROWS if key not in card]
    if missing:
        raise InputError(f"This is no faithfulness card: it has no {missing[0]!r}; give what `stcg card` measured.")
    entries = [card[key] if isinstance(card[key], Mapping) else {"value": card[key]} for key, *_ in ROWS]
    figure = go.Figure()
    for kind in LOOKS:
        _add_kind(figure, kind, entries)
    for y, entry in enumerate(entries):
        text = "not defined" if entry["value"] is None else f"{entry['value']:.2f}"
        figure.add_annotation(
            x=1.01, xref="paper", y=y, text=text, showarrow=False, xanchor="left", font={"size": 13, "color": INK}
        )
    figure.update_layout(
        template="none", width=WIDTH, height=600, font=FONT, paper_bgcolor="white", plot_bgcolor="white",
        title={"text": _title(card), "x": 0.01, "xanchor": "left", "font": {"size": 16}},
        margin={"l": 335, "r": 75, "t": 70, "b": 75}, legend={"orientation": "h", "x": -0.55, "y": -0.1},
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(ROWS))), ticktext=[label for _, label, _ in ROWS], range=[len(ROWS) - 0.4, -0.6],
        showgrid=True, gridcolor="#eeeeee", zeroline=False, tickfont={"size": 13},
    )  # fmt: skip
    figure.update_xaxes(range=[-0.25, 1.02], zeroline=True, zerolinecolor=INK, gridcolor="#e5e5e5", dtick=0.25)
    return figure


def _add_kind(figure: go.Figure, kind: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Points with intervals of the rows of one kind; a row whose value is not defined has none."""
    color, symbol = LOOKS[kind]
    shown = [
        (y, e)
        for y, (e, row) in enumerate(zip(entries, ROWS, strict=True))
        if row[2] == kind and e["value"] is not None
    ]
    intervals = [(e["value"], e.get("low"), e.get("high")) for _, e in shown]
    figure.add_scatter(
        x=[round(value, 3) for value, *_ in intervals], y=[y for y, _ in shown], mode="markers", name=kind,
        marker={"color": color, "symbol": symbol, "size": 11}, error_x=error_bars(intervals, 3, color=color, thickness=2, width=5),
    )  # fmt: skip


def _title(card: Mapping[str, Any]) -> str:
    """The model, and how many questions the card is about."""
    said = "one explanation; no interval"
    if "n" in card:
        said = f"{card['n']} questions about fresh scenes, {card['masks']} masks each; mean and 95 % interval, clustered by image"
    model = f" · {escape(str(card['model']), 60)}" if "model" in card else ""
    return f"<b>Faithfulness card</b>{model}<br><span style='font-size:13px'>{said}</span>"
