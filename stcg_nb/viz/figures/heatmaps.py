"""Heat maps over the picture: where words and answer tokens are linked, and what tokens lose without each region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.base import figure
from stcg_nb.viz.theme import escape, jpeg, overlay, titled


def linked_by(stcg: STCG, by: str | None) -> str:
    """What the links are read from, for captions."""
    return "causes" if by == "causes" or (by is None and stcg.causal) else stcg.estimator


COLUMNS = 5
PICTURE = 170  # pixels of a picture's longer side
NAME_HEIGHT = 26  # pixels for the name above it


@figure(
    "words",
    caption="Where attention links each word. A link is a correlation, not yet a cause.",
    caption_causal="Which regions each word works with, or stands in for, by what the model loses without both.",
)
def word_heatmaps(stcg: STCG, by: str | None = None) -> go.Figure:
    """For each word, the regions that it is linked with, on one scale.

    Args:
        stcg: What to show.
        by: ``"causes"`` or ``"alignment"`` (`STCG.links`); causes where there are any, if left out.
    """
    weights = stcg.links(by).word_region
    top = float(weights.max())
    names = [escape(w, 18) for w in stcg.words]
    note = f"Links of each word by {linked_by(stcg, by)}: opacity from 0 to the largest link of all words, {top:.2g}."
    return _gallery(
        stcg, "Where each word is linked", [overlay(stcg, row, top, PICTURE) for row in weights], names, note
    )


@figure(
    "steps",
    caption="For each token: where attention links it, and which regions it really loses by. Compare the two.",
    caption_causal="For each token: the regions that support it, and all that it gains or loses without them.",
)
def step_heatmaps(stcg: STCG, by: str | None = None) -> go.Figure:
    """For each answer token, where it is linked and what it loses without each region (nats), in pairs of rows.

    Args:
        stcg: What to show.
        by: As for `word_heatmaps`.
    """
    alignment, effect = stcg.links(by).step_region, stcg.data["region_effect"].values
    most, largest = float(alignment.max()), float(np.abs(effect).max())
    steps = [escape(s, 14) for s in stcg.steps]
    images: list[np.ndarray | None] = []
    names: list[str] = []
    for start in range(0, len(steps), COLUMNS):
        block = range(start, min(start + COLUMNS, len(steps)))
        gaps = COLUMNS - len(block) if len(steps) > COLUMNS else 0
        for weights, top, verb in ((alignment, most, "linked"), (effect, largest, "loses")):
            images += [*(overlay(stcg, weights[t], top, PICTURE) for t in block), *[None] * gaps]
            names += [*(f"{steps[t]}: {verb}" for t in block), *[""] * gaps]
    note = (
        f"“Linked”: by {linked_by(stcg, by)}, opacity up to {most:.2g}. “Loses”: log-odds lost when the region is filled, "
        f"up to {largest:.2g} nats; blue supports the token, vermilion opposes it."
    )
    what = "Where each answer token is linked, and what it loses"
    return _gallery(stcg, what, images, names, note, min(len(steps), COLUMNS))


def _gallery(
    stcg: STCG, what: str, images: Sequence[np.ndarray | None], names: Sequence[str], note: str, columns: int = COLUMNS
) -> go.Figure:
    """Pictures in rows, each uint8 ``[height, width, 3]`` with its (escaped) name above; None leaves a gap.

    Everything is placed in the figure's own coordinates and set at once: subplots, or annotations added one by one, take minutes
    for a question of hundreds of words.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = stcg.image.shape[:2]
    cell = float(np.clip(PICTURE * height / width, 90, 340))
    share = cell / (cell + NAME_HEIGHT) / rows  # of the figure's height, that of a picture
    pictures, labels = [], []
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        if image is None:
            continue
        place = {
            "xref": "paper", "yref": "paper", "xanchor": "center", "x": round((i % columns + 0.5) / columns, 5),
            "y": round(1 - (i // columns) / rows - NAME_HEIGHT / (cell + NAME_HEIGHT) / rows, 5),
        }  # fmt: skip
        size = {"sizex": round(0.988 / columns, 5), "sizey": round(share, 5), "sizing": "contain"}
        pictures.append({**place, **size, "source": jpeg(image, PICTURE), "yanchor": "top", "layer": "below"})
        labels.append({**place, "yanchor": "bottom", "text": name, "showarrow": False, "font": {"size": 13}})
    figure = go.Figure(layout={"images": pictures, "annotations": labels})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    titled(figure, stcg, what, int(rows * (cell + NAME_HEIGHT) + 144), note)
    figure.update_layout(margin={"l": 10, "r": 10, "t": 84, "b": 60})
    return figure
