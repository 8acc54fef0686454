"""One HTML page of an STCG that stands alone: no kernel, no network, no other file.

The page is ``templates/report.html``, filled by Jinja2, which escapes every text. plotly.js is written into it once. A
Content-Security-Policy forbids every connection and every script but the page's own, so that even a hostile question could send
nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from stcg_nb.files import write
from stcg_nb.graph.groups import groups_said
from stcg_nb.graph.schema import MATTERS
from stcg_nb.graph.selection import View, choose, node_labels
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.summary import summary
from stcg_nb.graph.trust import AUTO, fills_of, range_head, range_said, trust_said
from stcg_nb.inputs.fills import FILLS
from stcg_nb.inputs.images import data_uri, thumbnail
from stcg_nb.viz.figures import FIGURES
from stcg_nb.viz.theme import CONFIG

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
)  # fmt: skip
START = (
    "for (const [name, plot] of Object.entries(JSON.parse(document.getElementById('plots').textContent))) "
    f"Plotly.newPlot('plot-' + name, plot.data, plot.layout, {json.dumps({**CONFIG, 'responsive': False})});"
)  # draws the plots
PERTURBATIONS = {
    "strength": "strength", "pixel_distance": "pixel distance (0–1)", "delta_w": "ΔW",
    "delta_w_js": "ΔW, Jensen–Shannon (0–1)", "delta_p": "Δp",
}  # fmt: skip
STEPS = {
    "p": "p", "v": "log-odds (nats)", "visual_reliance": "lost without image (nats)", "entropy": "spread of links (nats)",
    "js_previous": "moved (0–1)", "top_overlap": "top 5 kept",
}  # fmt: skip
LINKS = ("link", "lost without it (nats)", "{}", "share of attention", "rank", "verdict")  # the third is `range_head`
READING = (
    "Effects are in nats of log-odds: the log-odds of a token with everything present, less those with one word cut from the model's "
    "attention or one region filled from its surroundings. They come from interventions, one at a time"
)
BY_ATTENTION = (
    "; what two regions do only together is not in them. Alignment is read off one forward pass, by {}: by itself that is no proof of "
    "anything."
)
TOGETHER = (
    ". A link of two or three says by how many nats their losses do not add up. Every link that the graph holds was tried, so its "
    "weight is exact{}; {:,} masks of words and regions were run to choose which links to try, and to learn to predict the model. "
    "The heat maps show these effects. A verdict compares an effect with attention: "
    "confirmed (the effect matters, and attention shows the link), hidden (it matters, but attention does not show the link), "
    "spurious (attention shows the link, but the effect does not matter), none (neither) or unclear. "
    f"An effect matters from {MATTERS:g} nats on: the odds change by a factor of 1.65, so that p = .50 becomes .62 or .38."
)


def write_html(stcg: STCG, path: str | PathLike[str]) -> Path:
    """Write one page that stands alone: no kernel, no network.

    Raises:
        InputError: If the folder does not exist or cannot be written.
    """
    return write(path, html(stcg).encode())


def html(stcg: STCG) -> str:
    """The page as text."""
    library = get_plotlyjs()
    page = PAGES.get_template("report.html").render(
        stcg=stcg,
        summary=summary(stcg),
        picture=data_uri(thumbnail(stcg.image, 440)),
        tokens=[(token, f"{p:.2f}") for token, p in zip(stcg.steps, stcg.data["p"].values, strict=True)],
        captions={name: figure.caption(stcg) for name, figure in FIGURES.items()},
        plots={name: json.loads(figure.draw(stcg).to_json()) for name, figure in FIGURES.items()},
        trust=trust_said(stcg),
        groups=groups_said(stcg),
        filled=f"Regions were {_removed(stcg)}.",
        link_heads=[head.format(range_head(stcg)) for head in LINKS],
        links=_link_rows(stcg),
        perturbation_heads=["", *PERTURBATIONS.values(), "answer"],
        perturbations=_perturbation_rows(stcg),
        step_heads=["token", *STEPS.values()],
        steps=_step_rows(stcg),
        reading=_reading(stcg),
        recipe=_recipe(stcg),
        policy=_policy(library, START),
        library=library,
        start=START,
    )
    return str(page)


def _policy(*scripts: str) -> str:
    """The Content-Security-Policy that lets only these scripts run, and nothing be fetched."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {allowed}"


def _link_rows(stcg: STCG) -> list[list[str]]:
    """A row for each link that the graph draws: its ends and its `LINKS`."""
    labels, shown = node_labels(stcg), choose(stcg, View())
    return [
        [
            f"{labels[edge.source]} → {labels[edge.target]}",
            f"{edge.weight:+.3g}",
            range_said(edge),
            f"{edge.share:.2f}",
            str(edge.rank),
            edge.verdict or "–",
        ]
        for edge in (*shown.drawn, *shown.spurious)
    ]


def _perturbation_rows(stcg: STCG) -> list[list[str]]:
    """A row for each perturbation: its name, its `PERTURBATIONS`, and the answer if it is another one."""
    data = stcg.data
    return [
        [
            name,
            *(_number(data[variable].values[k]) for variable in PERTURBATIONS),
            f"→ {data['perturbed_answer'].values[k]}" if data["flipped"].values[k] else "unchanged",
        ]
        for k, name in enumerate(data["perturbation"].values.tolist())
    ]


def _step_rows(stcg: STCG) -> list[list[str]]:
    """A row for each token of the answer: the token and its `STEPS`."""
    data = stcg.data
    return [[token, *(_number(data[variable].values[t]) for variable in STEPS)] for t, token in enumerate(stcg.steps)]


def _number(value: Any) -> str:
    return "–" if np.isnan(value) else f"{value:.3g}"


def _reading(stcg: STCG) -> str:
    """What the numbers mean and where they come from."""
    if not stcg.causal:
        return READING + BY_ATTENTION.format(stcg.estimator)
    first, *others = fills_of(stcg)
    tried = f" under the fill {first}, and was tried again under {', '.join(others)}" if others else ""
    return READING + TOGETHER.format(tried, stcg.data.attrs["masks"])


def _removed(stcg: STCG) -> str:
    """How regions were removed."""
    fills = fills_of(stcg)
    return f"filled by {', '.join(fills)}" if fills[0] in FILLS else f"removed by {fills[0]}"


def _recipe(stcg: STCG) -> str:
    a = stcg.data.attrs
    masks = repr(AUTO) if a["masks_asked"] == AUTO else a["masks_asked"]
    fills = f" fills={a['fills'].split(', ')!r}," if a["fills"] else ""
    names = stcg.data["perturbation"].values.tolist()
    strengths = sorted({round(float(s), 6) for s in stcg.data["strength"].values})
    return (
        "from stcg_nb import explain\n\n"
        f"explain(\n    IMAGE, {stcg.question!r}, {a['model']!r}, estimator={a['estimator']!r}, masks={masks},\n"
        f"    regions={a['regions']!r}, removal={a['removal']!r},{fills} perturbations={names!r},\n"
        f"    strength={strengths[0] if strengths else 0.5!r}, seed={a['seed']!r},\n)\n"
        f"# stcg-nb {a['stcg_version']}, {a['created_with']}; weights {a['model_revision']}"
    )
