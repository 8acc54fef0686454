"""H4: links of content and function words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.study.figures.style import SMALL, add_intervals, finish, mean
from stcg_nb.viz.theme import NEUTRAL, SUPPORTS, add_picture, escape, jpeg


def word_classes(rows: pd.DataFrame) -> go.Figure:
    """H4: strength, entropy and effect of content and function words, means of each question's words."""
    measures = (
        ("strength", "strength<br>of links"),
        ("entropy", "entropy of<br>links (nats)"),
        ("effect", "lost without<br>(nats)"),
    )
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.07)
    for column, (key, label) in enumerate(measures, 1):
        each = rows.groupby(["scene", "content"])[key].mean().reset_index()
        values = [mean(each[each["content"] == c], key) for c in (False, True)]
        add_intervals(figure, values, [0, 1], "", [NEUTRAL, SUPPORTS], ["square", "circle"], col=column)
        figure.update_xaxes(title_text=label, col=column, nticks=4)
    figure.update_yaxes(tickvals=[0, 1], ticktext=["function", "content"], range=[-0.6, 1.6])
    content = int(rows["content"].sum())
    return finish(
        figure,
        290,
        f"n = {rows['scene'].nunique()} questions, {content} content and {len(rows) - content} function words.",
        84,
    )


def word_maps(image: np.ndarray, words: Sequence[str], content: Sequence[bool], links: np.ndarray) -> go.Figure:
    """H4: where each word of one question is linked.

    Args:
        image: The picture, uint8 ``[height, width, 3]``.
        words: ``[word]``.
        content: Whether each is a content word, ``[word]``.
        links: S, ``[word, row, column]``.
    """
    count, columns = len(words) + 1, 4
    rows = -(-count // columns)
    titles = [
        "the picture",
        *(f"<b>{escape(w, 12)}</b>" if c else escape(w, 12) for w, c in zip(words, content, strict=True)),
    ]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.015, vertical_spacing=0.13 / rows * 2
    )
    side = links.shape[1]
    add_picture(figure, jpeg(image, 160), (0, 0, 1, 1))
    figure.update_xaxes(range=[0, 1], row=1, col=1)
    figure.update_yaxes(range=[1, 0], row=1, col=1)
    top = float(links.max())
    for i, weights in enumerate(links, 1):
        place = i // columns + 1, i % columns + 1
        heat = go.Heatmap(
            z=(np.round(weights / top, 2) + 0.0).tolist(), zmin=0, zmax=1, colorscale="Blues", showscale=False
        )
        figure.add_trace(heat, *place)
        figure.update_yaxes(range=[side - 0.5, -0.5], row=place[0], col=place[1])
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_annotations(font_size=SMALL)
    finish(figure, 60 + 178 * rows, "Bold: content words. All on one scale, the darkest is the strongest link.", 6, 30)
    return figure.update_layout(margin={"l": 6, "r": 6})
