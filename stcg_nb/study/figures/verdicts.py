"""All findings with their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from stcg_nb.stats.comparisons import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from stcg_nb.study.figures.style import finish, interval_bars, span
from stcg_nb.study.findings import Finding
from stcg_nb.viz.theme import INK, NEUTRAL, OPPOSES, SUPPORTS

VERDICT_COLORS = {SUPPORTED: SUPPORTS, NOT_SUPPORTED: OPPOSES, UNDECIDED: NEUTRAL}
VERDICT_SYMBOLS = {SUPPORTED: "circle", NOT_SUPPORTED: "x", UNDECIDED: "diamond-open"}


def verdicts(findings: Sequence[Finding]) -> go.Figure:
    """All findings: how far each one's weakest comparison lies from what was claimed, in units of its interval's half width."""
    figure = go.Figure()
    for i, finding in enumerate(reversed(findings)):
        shown = float(np.round(np.clip(finding.weakest.distance, -8, 8), 2))
        color = VERDICT_COLORS[finding.verdict]
        figure.add_scatter(
            x=[shown], y=[i], mode="markers", showlegend=False,
            marker={"size": 14, "color": color, "symbol": VERDICT_SYMBOLS[finding.verdict], "line": {"width": 2, "color": color}},
            error_x=interval_bars([(shown, shown - 1, shown + 1)], color),
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": INK, "width": 1.5, "dash": "dot"})
    names = [f"<b>{f.key}</b><br>{f.verdict}" for f in reversed(findings)]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, range=[-0.6, len(names) - 0.4])
    figure.update_xaxes(
        title_text="distance from the claim's limit<br>(half widths of the 95 % interval)", range=[-9.4, 9.4]
    )
    n = span([f.weakest.n for f in findings])
    return finish(
        figure,
        150 + 56 * len(names),
        f"Right of 0: as claimed. n = {n} questions a finding. Beyond 8 is drawn at 8.",
        86,
    )
