"""The graph draws the links that it says it draws, from node to node, as wide and as coloured as they weigh."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from read_figure import seen
from sample import sample_dataset

from stcg_nb.errors import InputError
from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures.graph import graph_figure
from stcg_nb.viz.theme import OPPOSES, SUPPORTS


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


def links(figure: go.Figure) -> list[str]:
    """The hover texts of the links drawn."""
    return [text for trace in figure.data if trace.mode == "markers" for text in trace.text]


@pytest.mark.parametrize("kind", ["counterfactual", "alignment"])
@pytest.mark.parametrize("top", [1, 10, 10_000])
def test_the_graph_draws_the_strongest_links(stcg, kind, top):
    figure = graph_figure(stcg, links=kind, top=top)
    edges = sorted((e for e in stcg.edges() if e[3] == kind), key=lambda e: -abs(e[4]))
    assert links(figure) == [f"{a} → {b}: {w:+.3g}" for a, b, _, _, w, *_ in edges[:top]]
    (note,) = (a.text for a in figure.layout.annotations if "links drawn" in a.text)
    shown = min(top, len(edges))
    assert f"{shown} strongest of {len(edges)} links drawn, {len(edges) - shown} left out" in note.replace("<br>", " ")


def test_links_differ_by_sign_in_colour_and_dash(stcg):
    figure = graph_figure(stcg, top=60)
    lines = [t for t in figure.data if t.mode == "lines" and t.name]
    assert {(t.name, t.line.color, t.line.dash) for t in lines} == {
        ("supports", SUPPORTS, "solid"),
        ("opposes", OPPOSES, "dash"),
    }
    assert sorted(t.name for t in lines if t.showlegend) == ["opposes", "supports"]
    drawn = sorted((e for e in stcg.edges() if e[3] == "counterfactual"), key=lambda e: -abs(e[4]))[:60]
    for sign, name in ((1, "supports"), (-1, "opposes")):
        ends = sum(list(t.x).count(None) for t in lines if t.name == name)
        assert ends == sum(e[4] * sign > 0 for e in drawn)


def test_verdicts_decide_the_dash_and_unsure_links_are_left_out():
    stcg = STCG(sample_dataset(causal=True))
    edges = [e for e in stcg.edges() if e.kind == "counterfactual"]
    small = [e for e in edges if e.verdict in ("spurious", "none")]
    sure = [e for e in edges if (e.low > 0 or e.high < 0) and e not in small]
    unsure = len(edges) - len(sure) - len(small)
    assert small and sure and unsure > 0
    figure = graph_figure(stcg, top=10_000)
    dashes = {t.name: t.line.dash for t in figure.data if t.mode == "lines" and t.name}
    assert dashes["supports, hidden"] == dashes["opposes, hidden"] == "dash"
    assert dashes["supports, unclear"] == dashes["opposes, unclear"] == "longdash"
    assert dashes["supports"] == dashes["opposes"] == "solid" and dashes["spurious"] == "dot"
    said = links(figure)
    spurious = [e for e in edges if e.verdict == "spurious"]
    assert len(said) == len(sure) + min(8, len(spurious))
    strongest = sure[int(np.argmax([abs(e.weight) for e in sure]))]
    assert any(
        f"({strongest.verdict}; attention {strongest.share:.2f}, rank {strongest.rank})" in text for text in said
    )
    (note,) = (a.text for a in figure.layout.annotations if "links drawn" in a.text)
    dotted = min(8, len(spurious))
    said = note.replace("<br>", " ")
    assert (
        f"0 left out, and {unsure} changing sign under one of the fills, and {len(small) - dotted} of less than" in said
    )
    assert f"0.5 nats; {dotted} dotted" in said
    assert "An effect matters from 0.5 nats on" in said
    assert "What is drawn keeps its sign under the fills mean, blur, inpaint." in said
    assert "Trust .92 [.87, .95] with 256 masks" in said
    assert figure.layout.margin.b > 18 + 14 * (note.count("<br>") + 1)  # the whole note is seen


def test_interactions_are_drawn_between_players():
    stcg = STCG(sample_dataset(causal=True))
    figure = graph_figure(stcg, links="interaction")
    assert [text.split(":")[0] for text in links(figure)] == ["word"] * 3 + ["region"]
    assert sum(text.count(" → ") == 2 for text in links(figure)) == 1
    assert {t.name for t in figure.data if t.name} == {"together", "instead of each other, hidden"}
    none = sample_dataset()
    none = none.isel(link=slice(0, 0))
    with pytest.raises(InputError, match="holds no interactions"):
        graph_figure(STCG(none), links="interaction")


def test_a_thicker_link_weighs_more():
    """One link of each size: the widths follow the weights."""
    dataset = sample_dataset(answer="red")
    effect = np.zeros((1, 24))
    effect[0, :4] = [4, 2.9, 1.9, 0.5]
    dataset["region_effect"] = (("step", "region"), effect)
    dataset["word_effect"] = dataset["word_effect"] * 0
    for end in ("low", "high"):
        dataset[f"region_{end}"] = dataset["region_effect"]
    figure = graph_figure(STCG(dataset))
    lines = [t for t in figure.data if t.mode == "lines" and t.name]
    widths = [t.line.width for t in lines]
    assert len(set(widths)) == 4
    assert widths == sorted(widths, reverse=True)  # thin ones last, where thick ones do not hide them
    for line, (x0, y0, x1, y1) in zip(lines, dataset["region_box"].values[:4] / 256, strict=True):
        assert x0 - 0.5 <= line.x[0] <= x1 - 0.5 and y0 <= line.y[0] <= y1


def test_links_begin_and_end_at_their_nodes(stcg):
    figure = graph_figure(stcg, top=5)
    named: dict[str, list[tuple[float, float]]] = {}  # a word may occur twice
    for a in figure.layout.annotations:
        if a.xref != "paper" and a.text:
            named.setdefault(seen(a.text).split()[0], []).append((a.x, a.y))
    ends = set()
    for trace in figure.data:
        if trace.mode == "lines" and trace.name:
            x, y = list(trace.x), list(trace.y)
            stops = [-1, *(i for i, v in enumerate(x) if v is None)]
            ends |= {(x[b - 1], y[b - 1]) for b in stops[1:]} | {(x[a + 1], y[a + 1]) for a in stops[:-1]}
    for text in links(figure):
        source, target = text.split(":", 1)[0] + ":" + text.split(":")[1].split(" ")[0], text.split("→ ")[1]
        step = stcg.steps[int(target.split(":")[1])]
        assert any(np.allclose(place, end, atol=1e-3) for place in named[step] for end in ends)
        kind, number = source.split(":")
        if kind == "word":
            places = named[stcg.words[int(number)]]
            assert any(np.allclose(place, end, atol=1e-3) for place in places for end in ends)
        else:
            x0, y0, x1, y1 = stcg.data["region_box"].values[int(number)] / 256
            assert any(x0 - 0.5 <= x <= x1 - 0.5 and y0 <= y <= y1 for x, y in ends)


def test_names_do_not_lie_on_each_other():
    """Boxes of as many pixels as their text needs, in the figure's own scale."""
    figure = graph_figure(
        STCG(sample_dataset(question="which word of many words is the longest one here " * 4, answer="x " * 25))
    )
    low, high = figure.layout.xaxis.range
    pixels = 880 / (high - low)
    boxes = []
    for a in figure.layout.annotations:
        if a.xref != "paper":
            width = max(len(seen(line)) for line in a.text.split("<br>")) * 7.2
            boxes.append((a.x * pixels - width / 2, a.x * pixels + width / 2, a.y * pixels))
            assert low * pixels <= boxes[-1][0] and boxes[-1][1] <= high * pixels
    for i, (a0, a1, ay) in enumerate(boxes):
        for b0, b1, by in boxes[:i]:
            assert abs(ay - by) > 20 or a1 <= b0 or b1 <= a0


def test_no_effect_at_all_is_no_link():
    dataset = sample_dataset()
    for name in ("region_effect", "word_effect"):
        dataset[name] = dataset[name] * 0
    assert links(graph_figure(STCG(dataset))) == []


@pytest.mark.parametrize("arguments", [{"links": "causal"}, {"top": 0}, {"top": -3}])
def test_graphs_that_cannot_be(stcg, arguments):
    with pytest.raises(InputError, match=r"valid are counterfactual, alignment|at least one link"):
        graph_figure(stcg, **arguments)
