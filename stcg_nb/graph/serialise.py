"""Write an STCG as strict JSON and as GraphML."""

from __future__ import annotations

import json
import math
import re
from io import BytesIO
from typing import TYPE_CHECKING, Any

import networkx as nx

from stcg_nb.graph.schema import FORMAT, VERSION
from stcg_nb.inputs.run_lengths import run_lengths

if TYPE_CHECKING:
    from stcg_nb.graph.stcg import STCG


def json_text(stcg: STCG) -> str:
    """The text of ``stcg.json``: everything but the images.

    ``regions[].box`` is x0, y0, x1, y1 in pixels of the image, x1 and y1 exclusive. ``regions[].mask`` holds run lengths, row by
    row, starting with the number of pixels outside the region. ``region_spec`` is the option that made the regions. Values that
    do not exist are null; there is no NaN. Effects and v are in nats. ``nodes`` are the main effects: what a step loses without a
    word or region. ``coefficient`` and ``intercepts`` are those of the sparse causal graph, which predicts the ranks of masks,
    from 0 to 1 (`stcg_nb.interventions.sparse`); without a causal graph they are 0. A ``triple`` edge has a ``third`` end.
    ``low`` and ``high`` are the smallest and largest weight over the ``fills`` that were tried beside ``removal``; where there were
    none, both are the weight, which is exact. ``trust`` is the estimated LDS of the graph on inputs that it has not seen, with its
    95 % interval ``trust_low`` to ``trust_high``; null where it is not defined. ``curve`` estimates the same of the graph with so
    many ``links`` at each step. ``masks`` is how many were run, ``masks_asked`` how many were asked for.
    ``share`` is the part of attention to all words (or regions) that goes to this one, ``rank`` its place among them: beside a
    ``verdict`` they say what it was drawn from.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        **{"region_spec" if k == "regions" else str(k): _plain(v) for k, v in stcg.data.attrs.items()},
        "image_size": [stcg.image.shape[1], stcg.image.shape[0]],
        "steps": _steps(stcg),
        "words": [{"id": f"word:{i}", "text": text} for i, text in enumerate(stcg.words)],
        "regions": _regions(stcg),
        "perturbations": _perturbations(stcg),
        "nodes": _nodes(stcg),
        "intercepts": stcg.data["intercept"].values.tolist(),
        "edges": _edges(stcg),
        "curve": _curve(stcg),
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _steps(stcg: STCG) -> list[dict[str, Any]]:
    numbers = ("p", "v", "entropy", "visual_reliance", "js_previous", "top_overlap")
    return [
        {"id": f"step:{t}", "step": t, "token": token, **{k: _number(stcg, k, t) for k in numbers}}
        for t, token in enumerate(stcg.steps)
    ]


def _regions(stcg: STCG) -> list[dict[str, Any]]:
    labels, boxes = stcg.data["region_labels"].values, stcg.data["region_box"].values
    return [
        {
            "id": f"region:{i}",
            "name": name,
            "box": boxes[i].tolist(),
            "mask": {"size": list(labels.shape), "counts": run_lengths(labels == i)},
        }
        for i, name in enumerate(stcg.regions)
    ]


def _perturbations(stcg: STCG) -> list[dict[str, Any]]:
    data, numbers = stcg.data, ("strength", "delta_w", "delta_w_js", "delta_p", "pixel_distance")
    return [
        {
            "name": name,
            **{k: _number(stcg, k, i) for k in numbers},
            "flipped": bool(data["flipped"].values[i]),
            "answer": str(data["perturbed_answer"].values[i]),
            "p": data["perturbed_p"].values[i].tolist(),
        }
        for i, name in enumerate(data["perturbation"].values.tolist())
    ]


def _nodes(stcg: STCG) -> list[dict[str, Any]]:
    """Main effects: what each step loses without each word and region, with the sparse graph's coefficients."""

    def coefficient(node: str, step: int | None) -> float:
        kind, i = node.split(":")
        return float(stcg.data[f"{kind}_coefficient"].values[step, int(i)])

    return [
        {
            "id": edge.source, "step": edge.step, "weight": edge.weight, "low": edge.low, "high": edge.high,
            "verdict": edge.verdict, "share": edge.share, "rank": edge.rank,
            "coefficient": coefficient(edge.source, edge.step),
        }
        for edge in stcg.edges()
        if edge.kind == "counterfactual"
    ]  # fmt: skip


def _edges(stcg: STCG) -> list[dict[str, Any]]:
    coefficients = iter(stcg.data["link_coefficient"].values.tolist())  # links come in this order among the edges
    return [
        {**edge._asdict(), **({"coefficient": next(coefficients)} if edge.kind in ("interaction", "triple") else {})}
        for edge in stcg.edges()
    ]


def _curve(stcg: STCG) -> list[dict[str, Any]]:
    """The estimated LDS for each number of links; empty without a causal graph, and where trust is not defined."""
    columns = (stcg.data[name].values.tolist() for name in ("curve_links", "curve_lds"))
    return [{"links": links, "lds": lds} for links, lds in zip(*columns, strict=True)]


def _number(stcg: STCG, variable: str, i: int) -> float | None:
    """An entry of a variable; None where it is not finite."""
    value = float(stcg.data[variable].values[i])
    return value if math.isfinite(value) else None


def graphml_text(stcg: STCG) -> str:
    """GraphML of `STCG.to_networkx`; characters that XML cannot hold become U+FFFD."""
    graph = stcg.to_networkx()
    clean = nx.MultiDiGraph(**{k: _xml(_plain(v)) for k, v in graph.graph.items() if _plain(v) is not None})
    for node, values in graph.nodes(data=True):
        clean.add_node(node, **{k: _xml(v) for k, v in values.items()})
    for source, target, key, values in graph.edges(keys=True, data=True):
        clean.add_edge(source, target, key=key, **values)
    out = BytesIO()
    nx.write_graphml(clean, out)
    return out.getvalue().decode()


def _plain(value: Any) -> Any:
    """The value, or None for NaN and infinity, which strict JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _xml(value: Any) -> Any:
    """The value; in text, characters that XML cannot hold become U+FFFD."""
    if not isinstance(value, str):
        return value
    return re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", value)
