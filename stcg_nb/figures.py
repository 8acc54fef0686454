"""Figures of an STCG: pure functions to `plotly.graph_objects.Figure`, for notebooks, pages and papers.

`graph_figure` is the one to begin with. Every figure is titled with model, question and answer, names its units, and can be read
without hovering; one from the mock says on its face that it is synthetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.figure_graph import graph_figure
from stcg_nb.graph import STCG
from stcg_nb.style import CONFIG, HIGHLIGHT, INK, NEUTRAL, OPPOSES, SUPPORTS, escape, jpeg, overlay, titled, wrap

__all__ = ["ALL", "CONFIG", "graph_figure", "perturbation_panel", "step_heatmaps", "timeline", "word_heatmaps"]

COLUMNS = 5
PICTURE = 170  # pixels of a picture of a sheet, and
NAME_HEIGHT = 26  # above it


def word_heatmaps(stcg: STCG) -> go.Figure:
    """For each word, the regions that it is linked to by the estimator: S ``[word, region]``, on one scale."""
    weights = stcg.data["word_region"].values
    top = float(weights.max())
    names = [escape(w, 18) for w in stcg.words]
    note = f"Alignment S of each word by {stcg.estimator}: opacity from 0 to the largest link of all words, {top:.2g}."
    return _sheet(stcg, "Where each word is linked", [overlay(stcg, row, top, PICTURE) for row in weights], names, note)


def step_heatmaps(stcg: STCG) -> go.Figure:
    """For each answer token, where attention links it (A) and what it loses without each region (nats), in pairs of rows."""
    data = stcg.data
    alignment, effect = data["step_region"].values, data["region_effect"].values
    most, largest = float(alignment.max()), float(np.abs(effect).max())
    steps = [escape(s, 14) for s in stcg.steps]
    images: list[np.ndarray | None] = []
    names: list[str] = []
    for start in range(0, len(steps), COLUMNS):
        block = range(start, min(start + COLUMNS, len(steps)))
        blank = COLUMNS - len(block) if len(steps) > COLUMNS else 0
        images += [*(overlay(stcg, alignment[t], most, PICTURE) for t in block), *[None] * blank]
        names += [*(f"{steps[t]}: linked" for t in block), *[""] * blank]
        images += [*(overlay(stcg, effect[t], largest, PICTURE) for t in block), *[None] * blank]
        names += [*(f"{steps[t]}: loses" for t in block), *[""] * blank]
    note = (
        f"“Linked”: alignment A by {stcg.estimator}, opacity up to {most:.2g}. “Loses”: log-odds lost when the region is filled, "
        f"up to {largest:.2g} nats; blue supports the token, vermilion opposes it."
    )
    return _sheet(
        stcg, "Where each answer token is linked, and what it loses", images, names, note, min(len(steps), COLUMNS)
    )


def perturbation_panel(stcg: STCG) -> go.Figure:
    """The perturbed images with what each did: pixel distance, delta W, delta p; a changed answer is spelled out."""
    data = stcg.data
    names = data["perturbation"].values.tolist()
    count = len(names) + 1
    figure = make_subplots(
        rows=3, cols=count, row_heights=[0.42, 0.29, 0.29], vertical_spacing=0.07, horizontal_spacing=0.012,
        shared_yaxes=True,
        specs=[[{}] * count, [{"colspan": count}, *[None] * (count - 1)], [{"colspan": count}, *[None] * (count - 1)]],
    )  # fmt: skip
    ticks = []
    for i, name in enumerate(["original", *names]):
        image = stcg.image if i == 0 else data["thumbnail"].values[i - 1]
        _picture(figure, 1, i + 1, jpeg(image, 160))
        if i:
            k = i - 1
            changed = (
                f"<br>→ {wrap(str(data['perturbed_answer'].values[k]), 15, 3)}" if data["flipped"].values[k] else ""
            )
            strength, distance = float(data["strength"].values[k]), float(data["pixel_distance"].values[k])
            ticks.append(
                f"{escape(name, 22).replace('_', '<br>', 1)}<br>strength {strength:.2g}<br>distance {distance:.2f}{changed}"
            )
    x = list(range(1, count))
    colors = [OPPOSES if f else SUPPORTS for f in data["flipped"].values]
    for row, variable, label in ((2, "delta_w", "ΔW"), (3, "delta_p", "Δp(answer)")):
        values = data[variable].values
        figure.add_bar(
            x=x, y=np.round(values, 6).tolist(), row=row, col=1, width=0.5, showlegend=False,
            marker={"color": colors, "pattern": {"shape": ["/" if f else "" for f in data["flipped"].values]}},
            text=[f"{v:+.2g}" if variable == "delta_p" else f"{v:.2g}" for v in values], textposition="outside", cliponaxis=False,
        )  # fmt: skip
        largest = max(float(np.abs(values).max(initial=0)), 1e-9) * 1.35
        low, high = min(float(values.min(initial=0)), 0) * 1.6, max(float(values.max(initial=0)), 0) * 1.35
        span = [low if low < 0 else 0, high if high > 0 else 0.15 * largest]
        figure.update_yaxes(title_text=label, row=row, col=1, range=span, zeroline=True, zerolinecolor=INK, nticks=4)
        figure.update_xaxes(
            row=row, col=1, range=[-0.5, count - 0.5], showgrid=False, zeroline=False, tickvals=x, showline=False,
            ticktext=ticks if row == 3 else [""] * len(x), tickfont={"size": 11}, tickangle=0,
        )  # fmt: skip
    note = (
        "ΔW: mean change of word–region links by attention, no unit. Δp: change of the answer's probability. "
        "Hatched vermilion: the model answers something else, given after the arrow."
    )
    titled(figure, stcg, "What each perturbation does", 640, note)
    figure.update_layout(margin={"l": 70, "r": 10, "t": 84, "b": 150}, bargap=0.4)
    figure.layout.annotations[0].yshift = -112
    return figure


def timeline(stcg: STCG) -> go.Figure:
    """The answer in time: probability, reliance on the image, spread of the links and their movement, step by step."""
    data = stcg.data
    rows: Sequence[tuple[str, str, str]] = (
        ("p", "probability", SUPPORTS),
        ("visual_reliance", "lost without the<br>image (nats)", SUPPORTS),
        ("entropy", "spread of links<br>(nats)", NEUTRAL),
        ("js_previous", "moved since the<br>last token (0–1)", HIGHLIGHT),
    )
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.045)
    x = list(range(len(stcg.steps)))
    for row, (variable, label, color) in enumerate(rows, 1):
        values = data[variable].values
        shown = [None if np.isnan(v) else round(float(v), 4) for v in values]
        few = len(x) <= 14
        figure.add_bar(
            x=x, y=shown, row=row, col=1, width=0.55, marker={"color": color}, showlegend=False, cliponaxis=False,
            text=["–" if v is None else f"{v:.2f}" for v in shown] if few else None, textposition="outside", textangle=0,
        )  # fmt: skip
        high, low = float(np.nanmax(values, initial=0)), float(np.nanmin(values, initial=0))
        ceiling = (
            1.0
            if variable in ("p", "js_previous")
            else float(np.log(len(stcg.regions)))
            if variable == "entropy"
            else high
        )
        span = max(ceiling, high) - low or 1.0
        figure.update_yaxes(
            title={"text": label, "font": {"size": 11}}, row=row, col=1, range=[low - 0.25 * span * (low < 0), low + span * 1.3],
            nticks=4, zeroline=True, zerolinecolor=INK, gridcolor="#e5e5e5",
        )  # fmt: skip
    width = 16 if len(x) <= 8 else 9
    figure.update_xaxes(
        tickvals=x,
        ticktext=[escape(s, width) for s in stcg.steps],
        showgrid=False,
        zeroline=False,
        range=[-0.6, len(x) - 0.4],
    )
    figure.update_xaxes(
        row=len(rows), col=1, tickfont={"size": 14 if len(x) <= 12 else 10}, tickangle=0 if len(x) <= 12 else -60
    )
    chances = [
        float(data.attrs.get(f"{k}_p", np.nan)) for k in ("order", "persistence", "reliance_trend", "entropy_trend")
    ]
    moved = (
        f" Among {int(data.attrs['orders'])} orders of the same tokens: links of neighbours closer, p = {chances[0]:.2f}; "
        f"strongest effects last, p = {chances[1]:.2f}; trend of reliance, p = {chances[2]:.2f}; of spread, p = {chances[3]:.2f}."
        if len(x) >= 3 and np.isfinite(chances).all()
        else ""
    )
    note = (
        "Lost without the image: log-odds of the token less those with the image blanked. Spread: entropy of the token's region "
        f"links, at most {np.log(len(stcg.regions)):.2f}. Moved: Jensen–Shannon distance of those links to the token before.{moved}"
    )
    titled(figure, stcg, "How the answer unfolds", 640, note)
    figure.update_layout(margin={"l": 95, "r": 10, "t": 84, "b": 110})
    figure.layout.annotations[0].yshift = -40 if len(x) <= 12 else -62
    return figure


ALL: Mapping[str, Callable[[STCG], go.Figure]] = MappingProxyType(
    {
        "graph": graph_figure,
        "words": word_heatmaps,
        "steps": step_heatmaps,
        "perturbations": perturbation_panel,
        "timeline": timeline,
    }
)


def _picture(figure: go.Figure, row: int, col: int, uri: str) -> None:
    """Fill one subplot with a picture, in its own proportions."""
    figure.add_layout_image(
        source=uri,
        xref="x domain",
        yref="y domain",
        x=0,
        y=1,
        sizex=1,
        sizey=1,
        sizing="contain",
        layer="below",
        row=row,
        col=col,
    )
    figure.add_scatter(x=[None], y=[None], row=row, col=col, showlegend=False, hoverinfo="skip")
    figure.update_xaxes(visible=False, row=row, col=col)
    figure.update_yaxes(visible=False, row=row, col=col)


def _sheet(
    stcg: STCG, what: str, images: Sequence[np.ndarray | None], names: Sequence[str], note: str, columns: int = COLUMNS
) -> go.Figure:
    """A sheet of pictures, each with its (escaped) name above; None leaves a gap.

    Everything is placed in the sheet's own coordinates and set at once: subplots, or annotations added one by one, take minutes
    for a question of hundreds of words.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = stcg.image.shape[:2]
    cell = float(np.clip(PICTURE * height / width, 90, 340))
    pictures, labels = [], []
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        if image is not None:
            place = {
                "xref": "paper",
                "yref": "paper",
                "x": round((i % columns + 0.5) / columns, 5),
                "xanchor": "center",
            }
            top = 1 - (i // columns) / rows
            below = top - NAME_HEIGHT / (cell + NAME_HEIGHT) / rows
            pictures.append(
                {
                    **place, "source": jpeg(image, PICTURE), "y": round(below, 5), "yanchor": "top", "layer": "below",
                    "sizex": round(0.988 / columns, 5), "sizey": round(cell / (cell + NAME_HEIGHT) / rows, 5), "sizing": "contain",
                }
            )  # fmt: skip
            labels.append(
                {
                    **place,
                    "y": round(below, 5),
                    "yanchor": "bottom",
                    "text": name,
                    "showarrow": False,
                    "font": {"size": 13},
                }
            )
    figure = go.Figure(layout={"images": pictures, "annotations": labels})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    titled(figure, stcg, what, int(rows * (cell + NAME_HEIGHT) + 144), note)
    figure.update_layout(margin={"l": 10, "r": 10, "t": 84, "b": 60})
    return figure
