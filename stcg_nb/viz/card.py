"""The faithfulness card as a figure: every measure with its interval, baselines and sanity checks beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from stcg_nb.errors import InputError
from stcg_nb.viz.theme import FONT, INK, NEUTRAL, OPPOSES, SUPPORTS, WIDTH, error_bars, escape

FORMAT = 2  # of the cards that are read here


class Look(NamedTuple):
    """How measures of one role are drawn."""

    name: str
    color: str
    symbol: str


LOOKS = {
    "ours": Look("the causal graph", SUPPORTS, "circle"),
    "baseline": Look("baseline", NEUTRAL, "square"),
    "sanity check": Look("sanity check: must be near 0", OPPOSES, "diamond"),
}
"""By role; measures of another role are not drawn."""

Row = Mapping[str, Any]


def card_figure(card: Mapping[str, Any]) -> go.Figure:
    """The faithfulness card as a figure: a row for each of its measures, in the card's order.

    Args:
        card: Of many questions (`stcg_nb.faithfulness.card.measure_card`), or of one (`stcg_nb.faithfulness.card.measure_game`),
            which has no intervals.

    Raises:
        InputError: If it is no card, or one of another format.
    """
    rows = _rows(card)
    figure = go.Figure()
    for role in LOOKS:
        _add_role(figure, role, rows)
    for y, row in enumerate(rows):
        text = "not defined" if row["value"] is None else f"{row['value']:.2f}"
        figure.add_annotation(
            x=1.01, xref="paper", y=y, text=text, showarrow=False, xanchor="left", font={"size": 13, "color": INK}
        )
    figure.update_layout(
        template="none", width=WIDTH, height=150 + 30 * len(rows), font=FONT, paper_bgcolor="white", plot_bgcolor="white",
        title={"text": _title(card), "x": 0.01, "xanchor": "left", "font": {"size": 16}},
        margin={"l": 335, "r": 75, "t": 70, "b": 75}, legend={"orientation": "h", "x": -0.55, "y": -0.1},
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=[escape(str(row["label"]), 60) for row in rows],
        range=[len(rows) - 0.4, -0.6], showgrid=True, gridcolor="#eeeeee", zeroline=False, tickfont={"size": 13},
    )  # fmt: skip
    figure.update_xaxes(range=[_left(rows), 1.02], zeroline=True, zerolinecolor=INK, gridcolor="#e5e5e5", dtick=0.25)
    return figure


def _left(rows: Sequence[Row]) -> float:
    """Where the axis begins: at -0.25, or further left where a measure or its interval lies there."""
    known = [row.get(key) for row in rows for key in ("value", "low")]
    return min([-0.25, *(value - 0.03 for value in known if value is not None)])


def _rows(card: Mapping[str, Any]) -> list[Row]:
    """The measures that are drawn, from top to bottom."""
    kind = card.get("format")
    if isinstance(kind, int) and kind != FORMAT:
        raise InputError(
            f"This card has format {kind}, and only format {FORMAT} can be drawn; measure it anew with `stcg card`."
        )
    measures = card.get("measures")
    if kind != FORMAT or not isinstance(measures, Mapping) or not measures:
        raise InputError("This is no faithfulness card: it has no measures; give what `stcg card` measured.")
    for key, row in measures.items():
        missing = [part for part in ("value", "label", "role") if not isinstance(row, Mapping) or part not in row]
        if missing:
            raise InputError(
                f"This is no faithfulness card: {key!r} has no {missing[0]}; give what `stcg card` measured."
            )
    return [row for row in measures.values() if row["role"] in LOOKS]


def _add_role(figure: go.Figure, role: str, rows: Sequence[Row]) -> None:
    """Points with intervals of the rows of one role; a row whose value is not defined has none."""
    name, color, symbol = LOOKS[role]
    shown = [(y, row) for y, row in enumerate(rows) if row["role"] == role and row["value"] is not None]
    intervals = [(row["value"], row.get("low"), row.get("high")) for _, row in shown]
    figure.add_scatter(
        x=[round(value, 3) for value, *_ in intervals], y=[y for y, _ in shown], mode="markers", name=name,
        marker={"color": color, "symbol": symbol, "size": 11}, error_x=error_bars(intervals, 3, color=color, thickness=2, width=5),
    )  # fmt: skip


def _title(card: Mapping[str, Any]) -> str:
    """The model, and how many questions the card is about."""
    said = "one explanation; no interval"
    if "n" in card:
        said = f"{card['n']} questions about fresh scenes, {card['masks']} masks each; mean and 95 % interval, clustered by image"
    model = f" · {escape(str(card['model']), 60)}" if "model" in card else ""
    return f"<b>Faithfulness card</b>{model}<br><span style='font-size:13px'>{said}</span>"
