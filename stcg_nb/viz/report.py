"""One HTML page of an STCG that stands alone: no kernel, no network, no other file.

plotly.js is written into the page once. All text from outside is escaped; JSON inside ``<script>`` cannot end it; a
Content-Security-Policy forbids every connection, so that even a hostile question could send nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
from os import PathLike
from pathlib import Path

import numpy as np
from plotly.offline import get_plotlyjs

from stcg_nb.files import write
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.summary import finding
from stcg_nb.inputs.images import data_uri, thumbnail
from stcg_nb.viz.figures import ALL
from stcg_nb.viz.theme import CONFIG

CAPTIONS = {
    "graph": "Read from top to bottom: words, image, answer. A thick blue link: without that word or region the token loses much.",
    "words": "Where attention links each word. A link is a correlation, not yet a cause.",
    "steps": "For each token: where attention links it, and which regions it really loses by. Compare the two.",
    "perturbations": "The picture, altered on purpose. ΔW says how far the links moved, Δp what became of the answer.",
    "timeline": "Token by token: how sure the model is, how much of that is the image, and how the links move.",
}

BY_CAUSE = {
    "words": "Which regions each word works with, or stands in for, by what the model loses without both.",
    "steps": "For each token: the regions that support it, and all that it gains or loses without them.",
}
READING = (
    "Effects are in nats of log-odds: the log-odds of a token with everything present, less those with one word cut from the model's "
    "attention or one region filled from its surroundings. They come from interventions, one at a time"
)
BY_ATTENTION = (
    "; what two regions do only together is not in them. Alignment is read off one forward pass, by {}: by itself that is no proof of "
    "anything."
)
TOGETHER = (
    ". What two or three do only together was learnt from {} masks of words and regions; those links have 95 % intervals, and say by "
    "how many nats the losses do not add up. Words and regions are aligned by these effects. Attention only decides the verdicts: "
    "confirmed (attention shows the link too), hidden (it does not) or spurious (attention without an effect)."
)

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:940px;margin:0 auto;padding:0 16px 40px}
header{display:flex;gap:20px;flex-wrap:wrap;align-items:flex-start;margin:24px 0}
header img{max-width:220px;width:100%;height:auto;border:1px solid #ccc}
header div{flex:1 1 260px;min-width:0;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0 0 8px}h2{font-size:1.15rem;margin:32px 0 4px}
.token{display:inline-block;border:1px solid #222;background:#f2f2f2;padding:2px 8px;margin:2px;text-align:center}
.token small{display:block;color:#555}
.synthetic{background:#D55E00;color:#fff;padding:8px 12px;font-weight:bold}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px}
th,td{border-bottom:1px solid #ddd;padding:4px 10px;text-align:right}th:first-child,td:first-child{text-align:left}
p.note{color:#555;margin:0 0 8px}pre{background:#f6f6f6;padding:10px;white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px}
"""


def write_html(stcg: STCG, path: str | PathLike[str]) -> Path:
    """Write one page that stands alone: no kernel, no network.

    Raises:
        InputError: If the folder does not exist or cannot be written.
    """
    return write(path, html(stcg).encode())


def html(stcg: STCG) -> str:
    """The page as text."""
    plots = {name: json.loads(make(stcg).to_json()) for name, make in ALL.items()}
    library = get_plotlyjs()
    start = (
        "for (const [name, plot] of Object.entries(JSON.parse(document.getElementById('plots').textContent))) "
        f"Plotly.newPlot('plot-' + name, plot.data, plot.layout, {json.dumps({**CONFIG, 'responsive': False})});"
    )
    scripts = " ".join(f"'sha256-{_digest(code)}'" for code in (library, start))
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {scripts}"
    text = markup.escape
    tokens = "".join(
        f'<span class="token">{text(token)}<small>{p:.2f}</small></span>'
        for token, p in zip(stcg.steps, stcg.data["p"].values, strict=True)
    )
    synthetic = (
        '<p class="synthetic">SYNTHETIC: these numbers come from the mock, not from a model.</p>'
        if stcg.synthetic
        else ""
    )
    causal = stcg.causal
    captions = CAPTIONS | BY_CAUSE if causal else CAPTIONS
    figures = "".join(
        f'<h2>{name.capitalize()}</h2><p class="note">{text(captions[name])}</p>'
        f'<div class="scroll"><div id="plot-{name}" role="img" aria-label="{text(captions[name])}"></div></div>'
        for name in plots
    )
    reading = READING + (TOGETHER.format(stcg.data.attrs["masks"]) if causal else BY_ATTENTION.format(stcg.estimator))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{text(stcg.question)} · STCG</title>
<style>{STYLE}</style>
</head>
<body>
{synthetic}
<header>
<img src="{data_uri(thumbnail(stcg.image, 440))}" alt="The image that was asked about">
<div><h1>{text(stcg.question)}</h1>
<p>{text(stcg.model)} answers: {tokens}</p>
<p>{text(finding(stcg))}</p></div>
</header>
{figures}
<h2>Perturbations in numbers</h2>
<div class="scroll">{_perturbation_table(stcg)}</div>
<h2>Answer tokens in numbers</h2>
<div class="scroll">{_step_table(stcg)}</div>
<h2>How to read this</h2>
<p>{text(reading)}</p>
<h2>How to make this again</h2>
<pre>{text(_recipe(stcg))}</pre>
<script type="application/json" id="plots">{_inside_script(json.dumps(plots))}</script>
<script>{library}</script>
<script>{start}</script>
</body>
</html>
"""


def _perturbation_table(stcg: STCG) -> str:
    data = stcg.data
    rows = [
        [
            str(name),
            *(
                f"{float(data[v].values[k]):.3g}"
                for v in ("strength", "pixel_distance", "delta_w", "delta_w_js", "delta_p")
            ),
            f"→ {data['perturbed_answer'].values[k]}" if data["flipped"].values[k] else "unchanged",
        ]
        for k, name in enumerate(data["perturbation"].values)
    ]
    return _table(("", "strength", "pixel distance (0–1)", "ΔW", "ΔW, Jensen–Shannon (0–1)", "Δp", "answer"), rows)


def _step_table(stcg: STCG) -> str:
    data = stcg.data
    variables = ("p", "v", "visual_reliance", "entropy", "js_previous", "top_overlap")
    rows = [
        [token, *("–" if np.isnan(x := float(data[v].values[t])) else f"{x:.3g}" for v in variables)]
        for t, token in enumerate(stcg.steps)
    ]
    heads = (
        "token",
        "p",
        "log-odds (nats)",
        "lost without image (nats)",
        "spread of links (nats)",
        "moved (0–1)",
        "top 5 kept",
    )
    return _table(heads, rows)


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{markup.escape(h)}</th>" for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{markup.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _recipe(stcg: STCG) -> str:
    a = stcg.data.attrs
    names = stcg.data["perturbation"].values.tolist()
    strengths = sorted({round(float(s), 6) for s in stcg.data["strength"].values})
    masks = f", masks={a['masks']!r}" if a["masks"] else ""
    return (
        "from stcg_nb import explain\n\n"
        f"explain(\n    IMAGE, {stcg.question!r}, {a['model']!r}, estimator={a['estimator']!r}{masks},\n"
        f"    regions={a['regions']!r}, removal={a['removal']!r}, perturbations={names!r},\n"
        f"    strength={strengths[0] if strengths else 0.5!r}, seed={a['seed']!r},\n)\n"
        f"# stcg-nb {a['stcg_version']}, {a['created_with']}; weights {a['model_revision']}"
    )


def _inside_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
