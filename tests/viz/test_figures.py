"""Figures are functions of an STCG alone; what they draw is compared with its numbers, what they say with its text."""

from __future__ import annotations

import base64
import copy
import html
import json
import re
import subprocess
import sys

import cv2
import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import ANSWER, QUESTION, sample_dataset

from stcg_nb.errors import InputError
from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures import ALL
from stcg_nb.viz.figures.graph import graph_figure
from stcg_nb.viz.figures.heatmaps import step_heatmaps, word_heatmaps
from stcg_nb.viz.figures.perturbations import perturbation_panel
from stcg_nb.viz.figures.timeline import timeline
from stcg_nb.viz.theme import (
    CONFIG,
    HIGHLIGHT,
    INK,
    NEUTRAL,
    OPPOSES,
    SUPPORTS,
    escape,
    jpeg,
    outlines,
    overlay,
    rgb,
    wrap,
)

HOSTILE = '<script>alert(1)</script> <img src=x onerror="alert(2)"> $x^2$ & <a href="javascript:alert(3)">car</a>?'
TAGS = re.compile(r"</?(?:b|br|span style='font-size:1[13]px'|span)>")


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


@pytest.fixture(scope="module", params=ALL)
def make(request):
    return ALL[request.param]


def texts(figure: go.Figure) -> list[str]:
    """Every text that a figure shows."""
    found: list[str] = []

    def collect(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("text", "ticktext", "name", "hovertext"):
                    found.extend([inner] if isinstance(inner, str) else inner if isinstance(inner, list) else [])
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(json.loads(figure.to_json()))
    return [t for t in found if isinstance(t, str)]


def seen(text: str) -> str:
    """What a reader sees of plotly's text."""
    return html.unescape(TAGS.sub(" ", text))


def test_the_title_holds_model_question_and_answer(stcg, make):
    title = seen(make(stcg).layout.title.text)
    for part in ("tiny", QUESTION, ANSWER):
        assert part in title


def test_the_answer_stays_in_the_title_of_a_long_question(make):
    figure = make(STCG(sample_dataset(question="is it so " * 220 + "?", answer="a red car")))
    title = seen(figure.layout.title.text)
    assert "is it so is it so" in title and "…" in title and "a red car" in title
    assert max(len(seen(line)) for line in figure.layout.title.text.split("<br>")[1:]) <= 97


def test_all_text_is_escaped(make):
    stcg = STCG(sample_dataset(question=HOSTILE, answer=HOSTILE[:-1]))
    figure = make(stcg)
    for text in texts(figure):
        rest = TAGS.sub("", text)
        assert "<" not in rest and ">" not in rest and "$" not in rest
        assert "&" not in re.sub(r"&(?:lt|gt|amp|#36);", "", rest)
    assert "<script>alert(1)" in seen(figure.layout.title.text)


def test_notes_of_a_foreign_file_are_escaped(make):
    dataset = sample_dataset()
    dataset.attrs.update(estimator="<a href='x'>y</a>", model="<b>z</b>")
    for text in texts(make(STCG(dataset))):
        assert "<a" not in text and "<b>z" not in text


def test_a_mocks_figure_says_so_on_its_face(stcg, make):
    synthetic = make(STCG(sample_dataset(synthetic=True)))
    assert "SYNTHETIC" in synthetic.layout.title.text
    (mark,) = (a for a in synthetic.layout.annotations if a.text == "SYNTHETIC")
    assert mark.font.size >= 40
    assert "SYNTHETIC" not in make(stcg).to_json()


def test_a_figure_changes_nothing_and_is_always_the_same(stcg, make):
    before = copy.deepcopy(stcg.data)
    assert make(stcg).to_json() == make(STCG(sample_dataset())).to_json()
    assert stcg.data.identical(before)


def test_figures_are_the_same_in_another_process():
    """Hashes of text differ between processes; no order in a figure may hang on them."""
    program = (
        "import hashlib, sys; sys.path.insert(0, 'tests'); from sample import sample_dataset; from stcg_nb.viz.figures import ALL;"
        "from stcg_nb.graph.stcg import STCG; s = STCG(sample_dataset());"
        "print(hashlib.sha256(''.join(f(s).to_json() for f in ALL.values()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("question", "answer", "perturbations"),
    [
        ("why?", "red", ()),
        ("why?", "red", ("center_mask",)),
        ("one two three four five six", "x", ("center_mask",) * 7),
        ("word " * 60, "token " * 40, ("center_mask", "color_shift")),
        ("a" * 300, "b" * 300, ("center_mask",)),
    ],
)
def test_any_number_of_words_tokens_and_perturbations(make, question, answer, perturbations):
    stcg = STCG(sample_dataset(question=question, answer=answer, perturbations=perturbations))
    figure = make(stcg)
    content = json.loads(figure.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["layout"]["width"] == 900
    assert 300 < content["layout"]["height"] < 6000


def test_every_picture_is_inside_the_figure(make):
    """Nothing comes from elsewhere: all pictures are data."""
    for image in make(STCG(sample_dataset(question="w " * 13, answer="t " * 8))).layout.images:
        assert image.source.startswith("data:image/jpeg;base64,")


def test_a_figure_is_small(make, stcg):
    assert len(make(stcg).to_json()) < 120_000


def test_no_logo_and_no_upload():
    assert CONFIG["displaylogo"] is False
    assert CONFIG["showSendToCloud"] is False


# The graph


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
    stcg = STCG(sample_dataset())
    edges = [e for e in stcg.edges() if e.kind == "counterfactual"]
    sure = [e for e in edges if e.low > 0 or e.high < 0]
    unsure = len(edges) - len(sure)
    assert 0 < unsure < len(edges)
    figure = graph_figure(stcg, top=10_000)
    dashes = {t.name: t.line.dash for t in figure.data if t.mode == "lines" and t.name}
    assert dashes["supports, hidden"] == dashes["opposes, hidden"] == "dash"
    assert dashes["supports"] == dashes["opposes"] == "solid" and dashes["spurious"] == "dot"
    said = links(figure)
    spurious = [e for e in edges if e.verdict == "spurious" and e not in sure]
    assert len(said) == len(sure) + min(8, len(spurious))
    (note,) = (a.text for a in figure.layout.annotations if "links drawn" in a.text)
    dotted = min(8, len(spurious))
    assert f"0 left out, and {unsure - dotted} whose interval holds zero; {dotted} dotted" in note.replace("<br>", " ")


def test_interactions_are_drawn_between_players():
    stcg = STCG(sample_dataset())
    figure = graph_figure(stcg, links="interaction")
    assert [text.split(":")[0] for text in links(figure)] == ["word"] * 3 + ["region"]
    assert sum(text.count(" → ") == 2 for text in links(figure)) == 1
    assert {t.name for t in figure.data if t.name} == {"together", "instead of each other, hidden"}
    none = sample_dataset()
    none = none.isel(link=slice(0, 0))
    with pytest.raises(InputError, match="found no interactions"):
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


# Heat maps


def picture(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_a_word_has_its_picture_under_its_name(stcg):
    figure = word_heatmaps(stcg)
    names = [a for a in figure.layout.annotations if a.text in stcg.words]
    assert [a.text for a in names] == list(stcg.words)
    assert len(figure.layout.images) == len(names)
    for name, image, row in zip(names, figure.layout.images, stcg.data["word_region"].values, strict=True):
        assert (name.x, name.y, name.yanchor, image.yanchor) == (image.x, image.y, "bottom", "top")
        # The strongest region is the bluest: grey has no blue cast.
        cast = picture(image.source).astype(int)
        blue = cv2.resize(
            (cast[..., 2] - cast[..., 0]).astype(np.float32), (6, 4), interpolation=cv2.INTER_AREA
        ).ravel()
        assert blue.argmax() == row.argmax()


def test_pictures_of_a_sheet_do_not_overlap():
    figure = step_heatmaps(STCG(sample_dataset(answer="a b c d e f g")))
    boxes = [(i.x - i.sizex / 2, i.x + i.sizex / 2, i.y - i.sizey, i.y) for i in figure.layout.images]
    assert len(boxes) == 14
    for k, (a0, a1, b0, b1) in enumerate(boxes):
        assert -1e-4 <= a0 < a1 <= 1.0001 and -1e-4 <= b0 < b1 < 1
        for c0, c1, d0, d1 in boxes[:k]:
            assert a1 <= c0 + 1e-4 or c1 <= a0 + 1e-4 or b1 <= d0 + 1e-4 or d1 <= b0 + 1e-4


def test_every_step_has_its_pair(stcg):
    names = [a.text for a in step_heatmaps(stcg).layout.annotations]
    for step in stcg.steps:
        assert f"{step}: linked" in names and f"{step}: loses" in names


# Perturbations and time


def test_the_panel_gives_each_perturbations_numbers(stcg):
    figure, data = perturbation_panel(stcg), stcg.data
    delta_w, delta_p = (t for t in figure.data if t.type == "bar")
    np.testing.assert_allclose(delta_w.y, data["delta_w"].values, atol=1e-6)
    np.testing.assert_allclose(delta_p.y, data["delta_p"].values, atol=1e-6)
    assert [c == OPPOSES for c in delta_p.marker.color] == data["flipped"].values.tolist()
    assert [s == "/" for s in delta_p.marker.pattern.shape] == data["flipped"].values.tolist()
    (ticks,) = (a.ticktext for a in figure.select_xaxes() if a.ticktext and a.ticktext[0])
    for k, text in enumerate(ticks):
        assert seen(text).startswith(str(data["perturbation"].values[k]).replace("_", " ", 1))
        assert ("→" in text) == bool(data["flipped"].values[k])
        assert f"distance {float(data['pixel_distance'][k]):.2f}" in text
    assert len(figure.layout.images) == len(ticks) + 1
    for row, trace in (("yaxis", delta_w), ("yaxis", delta_p)):
        low, high = getattr(figure.layout, trace.yaxis.replace("y", row)).range
        assert low <= min(0, *trace.y) and max(0, *trace.y) <= high


def test_the_timeline_gives_each_steps_numbers(stcg):
    figure = timeline(stcg)
    for trace, variable in zip(figure.data, ("p", "visual_reliance", "entropy", "js_previous"), strict=True):
        for shown, value in zip(trace.y, stcg.data[variable].values, strict=True):
            assert shown is None if np.isnan(value) else shown == pytest.approx(value, abs=1e-4)
    (ticks,) = {tuple(a.ticktext) for a in figure.select_xaxes()}
    assert ticks == stcg.steps


# Style


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.integers(1, 80))
def test_escaped_text_reads_as_itself(text, width):
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    expected = plain if len(plain) <= width else plain[: width - 1] + "…"
    escaped = escape(text, width)
    assert html.unescape(escaped) == expected
    assert not set("<>$\n\r\x00") & set(escaped)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.integers(10, 60), st.integers(1, 4))
def test_wrapped_text_fits(text, columns, lines):
    parts = wrap(text, columns, lines).split("<br>")
    assert len(parts) <= lines
    assert all(len(html.unescape(p)) <= columns for p in parts)
    whole = "".join("".join(c if c.isprintable() else " " for c in text).split())
    said = "".join(html.unescape("".join(parts)).split())
    assert said == whole or said.removesuffix("…") == whole[: len(said) - 1]


def test_colours_differ_for_the_colour_blind_and_in_grey():
    """Supports and opposes keep apart when red and green are seen alike (Vienot et al. 1999) and in luminance."""

    def linear(color):
        c = rgb(color) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)

    def without(color, matrix):
        to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
        return np.linalg.inv(to_lms) @ np.array(matrix) @ to_lms @ linear(color)

    protan = [[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]
    deutan = [[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]
    for matrix in (protan, deutan):
        assert np.abs(without(SUPPORTS, matrix) - without(OPPOSES, matrix)).max() > 0.15

    def luminance(color):
        return float(linear(color) @ [0.2126, 0.7152, 0.0722])

    assert luminance(OPPOSES) > 1.25 * luminance(SUPPORTS)
    assert 1.05 / (luminance(INK) + 0.05) > 7  # text on white
    assert len({SUPPORTS, OPPOSES, NEUTRAL, HIGHLIGHT}) == 4


def test_overlay_by_hand(stcg):
    weights = np.zeros(24)
    weights[3], weights[10] = 2, -1
    out = overlay(stcg, weights, 2, 4096).astype(float)
    grey = cv2.cvtColor(np.array(stcg.image), cv2.COLOR_RGB2GRAY).astype(float)[..., None].repeat(3, 2)
    pale = 0.6 * grey + 102
    labels = stcg.data["region_labels"].values
    for region, alpha, color in ((0, 0, SUPPORTS), (3, 0.85, SUPPORTS), (10, 0.425, OPPOSES)):
        expected = pale * (1 - alpha) + rgb(color) * alpha
        np.testing.assert_allclose(out[labels == region], expected[labels == region], atol=0.51)
    np.testing.assert_allclose(overlay(stcg, weights * 0, 0, 4096), pale, atol=0.51)
    assert overlay(stcg, weights, 2, 64).shape == (64, 64, 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12))
def test_outlines_are_the_edges_between_different_pixels(seed, height, width):
    labels = np.random.default_rng(seed).integers(0, 3, (height, width))
    expected = set()
    for y in range(height):
        for x in range(width):
            if x + 1 < width and labels[y, x] != labels[y, x + 1]:
                expected.add(((x + 1, y), (x + 1, y + 1)))
            if y + 1 < height and labels[y, x] != labels[y + 1, x]:
                expected.add(((x, y + 1), (x + 1, y + 1)))
    xs, ys = outlines(labels)
    found = set()
    assert xs[2::3] == ys[2::3] == [None] * (len(xs) // 3)
    for x0, y0, x1, y1 in zip(xs[::3], ys[::3], xs[1::3], ys[1::3], strict=True):
        if x0 == x1:
            found |= {((x0, y), (x0, y + 1)) for y in range(int(y0), int(y1))}
        else:
            found |= {((x, y0), (x + 1, y0)) for x in range(int(x0), int(x1))}
    assert found == expected


def test_a_jpeg_is_the_picture():
    image = np.zeros((200, 300, 3), np.uint8)
    image[:, 150:] = (200, 100, 20)
    small = picture(jpeg(image, 60))
    assert small.shape == (40, 60, 3)
    np.testing.assert_allclose(small[20, 50], (200, 100, 20), atol=4)
    np.testing.assert_allclose(small[20, 10], 0, atol=4)
