"""Heat maps over the picture: where words and answer tokens are linked, and what tokens lose without each region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.theme import escape, jpeg, overlay, titled


def _linked_by(stcg: STCG) -> str:
    return "what is lost" if stcg.causal else stcg.estimator


COLUMNS = 5
PICTURE = 170  # pixels of a picture of a sheet, and
NAME_HEIGHT = 26  # above it


def word_heatmaps(stcg: STCG) -> go.Figure:
    """For each word, the regions that it is linked to by the estimator: S ``[word, region]``, on one scale."""
    weights = stcg.links().word_region
    top = float(weights.max())
    names = [escape(w, 18) for w in stcg.words]
    note = (
        f"Alignment S of each word by {_linked_by(stcg)}: opacity from 0 to the largest link of all words, {top:.2g}."
    )
    return _sheet(stcg, "Where each word is linked", [overlay(stcg, row, top, PICTURE) for row in weights], names, note)


def step_heatmaps(stcg: STCG) -> go.Figure:
    """For each answer token, where attention links it (A) and what it loses without each region (nats), in pairs of rows."""
    data = stcg.data
    alignment, effect = stcg.links().step_region, data["region_effect"].values
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
        f"“Linked”: alignment A by {_linked_by(stcg)}, opacity up to {most:.2g}. “Loses”: log-odds lost when the region is filled, "
        f"up to {largest:.2g} nats; blue supports the token, vermilion opposes it."
    )
    return _sheet(
        stcg, "Where each answer token is linked, and what it loses", images, names, note, min(len(steps), COLUMNS)
    )


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
