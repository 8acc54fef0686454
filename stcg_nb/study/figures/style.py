"""What the study's figures share: size, letters, means with their intervals, and names of perturbations.

The figures are made for the column of a paper (3.4 inches): they are 660 pixels wide with letters of at least 16, so that printed
at that width nothing is under 6 points. Means stand with 95 % intervals clustered by image, and n is on the figure. Numbers are
rounded to what is the same on every processor, so that notebooks can be compared exactly.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import pandas as pd
import plotly.graph_objects as go

from stcg_nb.stats.bootstrap import cluster_bootstrap
from stcg_nb.viz.theme import INK, SUPPORTS, Interval, error_bars, escape

WIDTH = 660
FONT = {"family": "DejaVu Sans, Verdana, Arial, sans-serif", "size": 18, "color": INK}
SMALL = 17


def span(counts: Sequence[int]) -> str:
    """Numbers as one, or as the least to the largest.

    >>> span([220, 219, 220]), span([5, 5])
    ('219 to 220', '5')
    """
    least, most = min(counts), max(counts)
    return f"{most}" if least == most else f"{least} to {most}"


def by_mean(rows: pd.DataFrame, key: str) -> list[str]:
    """Perturbations in ascending order of their mean."""
    return [str(k) for k in rows.groupby("perturbation")[key].mean().sort_values().index]


def mean(rows: pd.DataFrame, key: str, scale: float = 1.0) -> Interval:
    """The mean of a column times `scale`, with the ends of its interval clustered by scene, rounded."""
    found = cluster_bootstrap(rows[key].to_numpy(dtype=float) * scale, rows["scene"].to_numpy())
    return rounded(found.value), rounded(found.low), rounded(found.high)


def rounded(value: float) -> float:
    """A number to two decimals, and 0 without a sign."""
    return round(value, 2) + 0.0


def interval_bars(values: Sequence[Interval], color: str | None = None) -> dict[str, object]:
    """Plotly's error bars of means, ``[point]``, in the study's look; none where the interval cannot be known."""
    look = {"thickness": 2.5, "width": 6}
    return error_bars(values, 2, **look) if color is None else error_bars(values, 2, **look, color=color)


def add_intervals(
    figure: go.Figure,
    values: Sequence[Interval],
    y: Sequence[float],
    name: str,
    color: str | Sequence[str],
    symbol: str | Sequence[str],
    col: int | None = None,
) -> None:
    """Points with horizontal intervals.

    Args:
        figure: Gets them.
        values: Mean, low and high end of each, ``[point]``.
        y: Height of each, ``[point]``.
        name: In the legend; an empty one is not there.
        color, symbol: Of all, or of each, ``[point]``.
        col: Of the subplot, if there are several.
    """
    colors = [color] * len(values) if isinstance(color, str) else list(color)
    symbols = [symbol] * len(values) if isinstance(symbol, str) else list(symbol)
    where = {} if col is None else {"row": 1, "col": col}
    for i, value in enumerate(values):
        figure.add_scatter(
            x=[value[0]], y=[y[i]], mode="markers", name=name, legendgroup=name, showlegend=bool(name) and i == 0,
            marker={"size": 9, "color": colors[i], "symbol": symbols[i], "line": {"width": 2, "color": colors[i]}},
            error_x=interval_bars([value], colors[i]), **where,
        )  # fmt: skip


def add_dots(
    figure: go.Figure, col: int, names: Sequence[str], value: Callable[[str], Interval], colors: Sequence[str]
) -> None:
    """A point with its interval for each perturbation, from the bottom up, whose names stand on the y axis.

    Args:
        figure: Gets them.
        col: Of the subplot.
        names: Perturbations, ``[perturbation]``.
        value: Mean, low and high end of each.
        colors: Of each, ``[perturbation]``.
    """
    symbols = ["circle" if c == SUPPORTS else "square" for c in colors]
    add_intervals(figure, [value(k) for k in names], list(range(len(names))), "", colors, symbols, col)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=[perturbation_label(k) for k in names], col=col)


def perturbation_label(perturbation: str) -> str:
    """A perturbation's name as it is drawn, without its underscores."""
    return escape(perturbation.replace("saliency_patch", "saliency").replace("_", " "), 20)


def finish(figure: go.Figure, height: int, note: str = "", below: int = 64, top: int = 16) -> go.Figure:
    """Give a figure the study's size, letters, axes and a note; the figure itself.

    Args:
        figure: Changed in place.
        height: Pixels.
        note: Stands below the axes.
        below: Pixels from the axes to the note.
        top: Pixels above the axes.
    """
    lines = [escape(line) for line in textwrap.wrap(note, 66)]
    figure.update_layout(
        template="none", width=WIDTH, height=height, font=FONT, paper_bgcolor="white", plot_bgcolor="white",
        margin={"l": 60, "r": 22, "t": top, "b": below + 12 + 22 * len(lines)},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.5, "xanchor": "center", "font": {"size": SMALL}},
    )  # fmt: skip
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=True, gridcolor="#E5E5E5", zeroline=False, tickfont={"size": SMALL}, automargin=True)
        update(title_font={"size": 18}, title_standoff=8)
    if note:
        figure.add_annotation(
            text="<br>".join(lines), xref="paper", yref="paper", x=0.5, y=0, xanchor="center", yanchor="top", showarrow=False,
            yshift=-below, font={"size": 16, "color": "#444444"}, align="center",
        )  # fmt: skip
    return figure
