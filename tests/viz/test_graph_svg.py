"""The drawing of a graph is well-formed, holds what the view says, and lets no text through as markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from sample import sample_dataset

from stcg_nb.errors import InputError
from stcg_nb.graph.difference import difference
from stcg_nb.graph.selection import View, choose, ends, link_name, node_labels, surely_beyond
from stcg_nb.graph.stcg import STCG, Edge
from stcg_nb.viz.graph_svg import Drawing, graph_svg
from stcg_nb.viz.layout import bend, middle_of

HOSTILE = "<script>alert(1)</script> & \" ' \x00 \ud7ff ]]> car?"


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset(causal=True))


def tree(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def picks(svg: str) -> list[str]:
    return [e.get("data-pick") for e in tree(svg).iter() if e.get("data-pick")]


def paths(svg: str) -> int:
    """How many links are drawn."""
    return len(re.findall(r'<path d="M-?\d+,-?\d+[CL]', svg))


def place(stcg: STCG, svg: str, node: str) -> tuple[float, float]:
    """The middle of a word's or token's frame, or of a region, in pixels of the drawing."""
    kind, number = node.split(":")
    if kind == "region":
        (image,) = (e for e in tree(svg).iter() if e.tag.endswith("image"))
        x, y, w, h = (float(image.get(k)) for k in ("x", "y", "width", "height"))
        x0, y0, x1, y1 = stcg.data["region_box"].values[int(number)] / 256
        return x + w * (x0 + x1) / 2, y + h * (y0 + y1) / 2
    (group,) = (e for e in tree(svg).iter() if e.get("data-pick") == node)
    (frame,) = (e for e in group if e.tag.endswith("rect"))
    x, y, w, h = (float(frame.get(k)) for k in ("x", "y", "width", "height"))
    return x + w / 2, y + h / 2


def test_every_node_can_be_chosen_and_is_described(stcg):
    root = tree(graph_svg(stcg))
    for name, label in node_labels(stcg).items():
        (element,) = (e for e in root.iter() if e.get("data-pick") == name)
        assert label in element.get("aria-label")
        assert element.get("role") == "button"


@pytest.mark.parametrize("links", ["counterfactual", "alignment", "interaction"])
@pytest.mark.parametrize("step", [None, 1])
def test_the_links_drawn_are_those_chosen(stcg, links, step):
    view = View(links, 7, step)
    shown = choose(stcg, view)
    svg = graph_svg(stcg, links=links, top=7, step=step)
    assert {p for p in picks(svg) if ">" in p} == {link_name(e) for e in (*shown.drawn, *shown.spurious)}
    assert paths(svg) == len(shown.drawn) + len(shown.spurious)
    assert all(surely_beyond(e) for e in shown.drawn)
    if step is not None:
        assert all(e.step in (None, step) for e in shown.drawn)


def test_the_strongest_come_first_and_a_bound_leaves_out_the_unsure(stcg):
    edges = [e for e in stcg.edges() if e.kind == "counterfactual" and e.verdict not in ("spurious", "none")]
    sure = [e for e in edges if e.low > 1 or e.high < -1]
    shown = choose(stcg, View(top=1000, min_effect=1.0))
    assert shown.drawn == sorted(sure, key=lambda e: -abs(e.weight))
    assert len(choose(stcg, View(top=3)).drawn) == 3


def test_a_chosen_node_has_its_links_and_the_others_are_dimmed(stcg):
    shown = choose(stcg, View(top=20, node="step:1"))
    assert all(e.target == "step:1" for e in shown.drawn)
    assert not any("step:1" in (e.source, e.target) for e in shown.dimmed)
    svg = graph_svg(stcg, top=20, node="step:1")
    assert paths(svg) == len(shown.drawn) + len(shown.dimmed) + len(shown.spurious)
    (pressed,) = (e for e in tree(svg).iter() if e.get("aria-pressed") == "true")
    assert pressed.get("data-pick") == "step:1"


def test_three_that_work_together_are_tied_at_one_dot(stcg):
    (three,) = (e for e in stcg.edges() if e.kind == "triple")
    name = link_name(three)
    assert ends(name) == [three.source, three.target, three.third]
    drawing = Drawing(stcg)
    svg = drawing.svg(View("interaction"))
    (path,) = re.findall(r'<path d="((?:M-?\d+,-?\d+L-?\d+,-?\d+)+)"', svg)
    lines = [[float(v) for v in line] for line in re.findall(r"M(-?\d+),(-?\d+)L(-?\d+),(-?\d+)", path)]
    places = [place(stcg, svg, node) for node in ends(name)]
    np.testing.assert_allclose([line[2:] for line in lines], places, atol=1.0)
    np.testing.assert_allclose([line[:2] for line in lines], [np.mean(places, 0)] * 3, atol=1.0)
    (dot,) = (e for e in tree(svg).iter() if e.get("data-pick") == name)
    assert dot.get("aria-label").count(" + ") == 2 and "(+0.5 to +1 over the fills)" in dot.get("aria-label")
    assert "three at once" in svg and "three at once" not in drawing.svg(View())
    for node in (three.source, three.target, three.third, f"step:{three.step}"):
        assert three in choose(stcg, View("interaction", node=node)).drawn


@pytest.mark.parametrize("links", ["counterfactual", "alignment", "interaction"])
def test_a_links_dot_lies_on_its_line(stcg, links):
    """Also between two nodes of one row, where the line sags; the middle of a cubic Bézier curve is worked out here."""
    svg = graph_svg(stcg, links=links, top=9)
    curves = [
        np.array(re.findall(r"-?\d+", d), float).reshape(4, 2) for d in re.findall(r'<path d="(M[^"]*C[^"]*)"', svg)
    ]
    middles = [np.array([1, 3, 3, 1]) @ curve / 8 for curve in curves]
    dots = [e for e in tree(svg).iter() if e.tag.endswith("circle") and ">" in (e.get("data-pick") or "")]
    two = [e for e in dots if e.get("data-pick").count(">") == 1]
    assert two and len(two) == len(middles)
    for dot in two:
        at = float(dot.get("cx")), float(dot.get("cy"))
        assert min(np.abs(middle - at).max() for middle in middles) <= 1


def test_links_between_words_sag_below_the_row(stcg):
    (start, end), far = ((0.0, -0.2), (0.4, -0.2)), (0.4, 0.5)
    assert [y for _, y in bend(start, end)] == pytest.approx([-0.2 + 0.1 / 0.75] * 2)
    assert bend(start, far)[0][1] > start[1] and bend(start, far)[1][1] < far[1]
    edge = Edge("word:0", "word:1", 0, "triple", 1.0, third="word:2")
    places = {"word:0": start, "word:1": end, "word:2": (0.2, -0.2)}
    assert middle_of(edge, places) == pytest.approx((0.2, -0.1))


def test_the_legend_names_the_lines_that_are_there(stcg):
    texts = {e.text for e in tree(graph_svg(stcg, top=1000)).iter() if e.tag.endswith("text")}
    named = {f"{name}{said}" for name in ("supports", "opposes") for said in ("", ", hidden", ", unclear")}
    assert {*named, "spurious"} <= texts
    strongest = choose(stcg, View()).drawn[0]
    alone = {e.text for e in tree(graph_svg(stcg, top=1, node=strongest.source)).iter() if e.tag.endswith("text")}
    assert len(alone & named) == 1
    assert "link" in {e.text for e in tree(graph_svg(stcg, links="alignment")).iter()}


def test_a_cut_link_is_marked(stcg):
    name = link_name(choose(stcg, View()).drawn[0])
    assert "✂" in graph_svg(stcg, cuts=[name])
    assert "✂" not in graph_svg(stcg)


def test_text_is_text(stcg):
    dataset = sample_dataset(question=HOSTILE, answer=HOSTILE)
    svg = graph_svg(STCG(dataset))
    plain = [
        e.tag for e in tree(graph_svg(STCG(sample_dataset(question="a " * 6 + "car?", answer="a " * 6 + "car")))).iter()
    ]
    assert {e.tag for e in tree(svg).iter()} == set(plain)
    assert "<script" not in svg


def test_a_mocks_drawing_says_so(stcg):
    assert "SYNTHETIC" in graph_svg(STCG(sample_dataset(synthetic=True)))
    assert "SYNTHETIC" not in graph_svg(stcg)


def test_boxes_lie_where_they_were_drawn(stcg):
    drawing = Drawing(stcg)
    x, y, w, h = drawing.picture_box
    height, width = stcg.image.shape[:2]
    (box,) = (
        e
        for e in tree(drawing.svg(View(), boxes=[(0, 0, width // 2, height)])).iter()
        if e.get("stroke-dasharray") == "7 4" and e.tag.endswith("rect")
    )
    assert [float(box.get(k)) for k in ("x", "y", "width", "height")] == pytest.approx([x, y, w / 2, h], abs=0.1)


def test_changes_between_two_graphs_are_drawn(stcg):
    other = STCG(sample_dataset(causal=True, seed=1))
    moved = STCG(other.data.assign(region_labels=stcg.data["region_labels"], image=stcg.data["image"]))
    found = difference(stcg, moved)
    svg = Drawing(stcg).changes(found, top=9)
    sure = [c for c in found.of_kind("counterfactual") if c.sure and c.change]
    assert paths(svg) == min(9, len(sure))
    assert paths(Drawing(stcg).changes(difference(stcg, stcg))) == 0


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"links": "x"}, "'x' are no links"), ({"top": 0}, "at least one link"), ({"min_effect": -1.0}, "give 0 or more"),
        ({"min_effect": float("nan")}, "give 0 or more"), ({"step": 99}, "There is no step 99"),
        ({"node": "word:99"}, "There is no node 'word:99'"),
    ],
)  # fmt: skip
def test_what_is_not_there_cannot_be_shown(stcg, view, said):
    with pytest.raises(InputError, match=said):
        graph_svg(stcg, **view)
