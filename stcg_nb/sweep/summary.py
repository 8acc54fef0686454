"""The summary of a sweep: means over its questions with 95 % intervals, clustered by picture, as tables and figures.

Skipped questions are left out. Each table has a row for each group and the columns ``mean``, ``low``, ``high`` and ``n``; an
interval that is not defined, as from a single picture, is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stcg_nb.inputs.words import is_content
from stcg_nb.stats.bootstrap import cluster_bootstrap
from stcg_nb.sweep.folder import read_rows
from stcg_nb.sweep.manifest import read_manifest
from stcg_nb.sweep.rows import VERDICTS
from stcg_nb.viz.theme import INK, NEUTRAL, SUPPORTS, escape

ALL = "all"
MEASURES = {"delta_w": "ΔW", "delta_w_js": "ΔW, Jensen–Shannon", "delta_p": "|Δp|", "flipped": "answers changed"}
WORDS = {
    "word_effect": "lost without a word (nats)", "word_link": "link with the picture",
    "word_entropy": "spread over regions (nats)",
}  # fmt: skip
MEAN = ["mean", "low", "high", "n"]


def explained_rows(folder: str | PathLike[str]) -> pd.DataFrame:
    """The rows of a sweep's folder that have an explanation.

    Raises:
        InputError: If there are no rows.
    """
    rows = read_rows(folder).to_pandas()
    return rows[rows["error"].isna()].reset_index(drop=True)


def accuracy(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy over all questions and for each kind; empty where no answers are known."""
    return _by_kind(rows, "accuracy")


def faithfulness(rows: pd.DataFrame) -> pd.DataFrame:
    """Correlation of links with effects, over all questions and for each kind; empty for causal links, which are effects."""
    return _by_kind(rows, "seed_faithfulness")


def trust(rows: pd.DataFrame) -> pd.DataFrame:
    """The estimated LDS of the causal graphs, over all questions and for each kind; empty without causal graphs."""
    return _by_kind(rows, "trust")


def perturbations(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """For each of `MEASURES` a row a perturbation."""
    return {
        label: _table({name: _mean(rows, rows[f"{key}_{name}"].astype(float).abs()) for name in names})
        for key, label in MEASURES.items()
    }


def colour(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """|Δp| of each perturbation on questions about colour, and on the others."""
    asks = rows["question"].map(lambda text: bool(re.search(r"\bcolou?rs?\b", text, re.IGNORECASE)))
    return {
        f"|Δp|, {label}": _table({name: _mean(group, group[f"delta_p_{name}"].abs()) for name in names})
        for label, group in (("colour questions", rows[asks]), ("other questions", rows[~asks]))
    }


def words(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each of `WORDS` a row for content words and one for function words; a question counts as the mean of its words."""
    return {
        label: _table(
            {kind: _mean(rows, _word_means(rows, key, kind == "content")) for kind in ("content", "function")}
        )
        for key, label in WORDS.items()
    }


def _word_means(rows: pd.DataFrame, key: str, content: bool) -> pd.Series:
    """The mean over the words of a class, ``[question]``; NaN for a question without any."""
    means = []
    for texts, values in zip(rows["words"], rows[key], strict=True):
        chosen = pd.Series(values, dtype=float)[[is_content(word) == content for word in texts]]
        means.append(chosen.mean())  # of those that are there
    return pd.Series(means, dtype=float)


def steps(rows: pd.DataFrame) -> pd.DataFrame:
    """The log-odds that the token at each step loses without the picture, nats, for steps that two pictures or more have."""
    found = {}
    for step in range(max((len(tokens) for tokens in rows["tokens"]), default=0)):
        there = rows[rows["tokens"].map(len) > step]
        if there["image_sha256"].nunique() > 1:
            found[f"token {step + 1}"] = _mean(there, there["visual_reliance"].map(lambda values, t=step: values[t]))
    return _table(found)


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean number of edges of each verdict in an explanation; empty without a causal graph."""
    judged = rows[rows["confirmed"].notna()]
    return _table({verdict: _mean(judged, judged[verdict]) for verdict in VERDICTS} if len(judged) else {})


def dots(tables: Mapping[str, pd.DataFrame], synthetic: bool = False) -> go.Figure:
    """Means with intervals, a panel a table, rows in common; a synthetic one says so on its face."""
    names = list(next(iter(tables.values())).index)[::-1]
    figure = make_subplots(rows=1, cols=len(tables), shared_yaxes=True, horizontal_spacing=0.05)
    for column, (label, table) in enumerate(tables.items(), 1):
        shown = table.loc[names].round(3)
        figure.add_scatter(
            x=shown["mean"].tolist(), y=[escape(str(name).replace("_", " ")) for name in names], mode="markers",
            cliponaxis=False, marker={"size": 10, "color": SUPPORTS},
            error_x={
                "type": "data", "symmetric": False, "color": SUPPORTS, "thickness": 2,
                "array": (shown["high"] - shown["mean"]).round(3).fillna(0).tolist(),
                "arrayminus": (shown["mean"] - shown["low"]).round(3).fillna(0).tolist(),
            },
            row=1, col=column,
        )  # fmt: skip
        counts = table["n"]
        n = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        figure.update_xaxes(title_text=f"{escape(label)}<br>n = {n}", rangemode="tozero", row=1, col=column)
    figure.update_layout(
        template="none", showlegend=False, width=max(460, 240 * len(tables) + 120), height=150 + 34 * len(names),
        margin={"l": 150, "r": 20, "t": 20, "b": 80}, font={"color": INK, "size": 13}, paper_bgcolor="white",
    )  # fmt: skip
    figure.update_yaxes(ticks="outside", ticklen=8, tickcolor="white")
    figure.update_xaxes(zeroline=True, zerolinecolor=NEUTRAL, gridcolor="#e6e6e6")
    if synthetic:
        figure.add_annotation(
            text="SYNTHETIC", xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, opacity=0.25, font={"size": 44}
        )
    return figure


def headline(folder: str | PathLike[str]) -> str:
    """One sentence: which model was asked what, how many questions are done, and how many of them were skipped."""
    manifest, rows = read_manifest(folder), read_rows(folder)
    skipped = len(rows) - rows.column("error").null_count
    synthetic = " SYNTHETIC: the numbers come from the mock, not from a model." if manifest["synthetic"] else ""
    return (
        f"{manifest['model']} ({manifest['model_revision'][:12]}) on {manifest['dataset']}, estimator {manifest['estimator']}: "
        f"{len(rows):,} of {manifest['questions']:,} questions done, {skipped:,} of them skipped.{synthetic}"
    )


def _by_kind(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    known = rows[rows[column].notna()]
    groups = [(ALL, known), *((str(kind), group) for kind, group in known.groupby("kind", sort=True) if kind)]
    return _table({name: _mean(group, group[column].astype(float)) for name, group in groups if len(group)})


def _mean(rows: pd.DataFrame, values: pd.Series) -> dict[str, float | int]:
    found = cluster_bootstrap(values.to_numpy(dtype=float), rows["image_sha256"].to_numpy())
    return dict(zip(MEAN, (found.value, found.low, found.high, found.n), strict=True))


def _table(groups: Mapping[str, Mapping[str, float | int]]) -> pd.DataFrame:
    return pd.DataFrame.from_dict({k: dict(v) for k, v in groups.items()}, orient="index", columns=MEAN)
