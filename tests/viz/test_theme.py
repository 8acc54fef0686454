"""Text is escaped, colours can be told apart, and what is laid over a picture is where it belongs."""

from __future__ import annotations

import html

import cv2
import numpy as np
import plotly.graph_objects as go
from hypothesis import given, settings
from hypothesis import strategies as st
from read_figure import picture
from sample import sample_dataset

from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.theme import (
    CONFIG,
    HIGHLIGHT,
    INK,
    NEUTRAL,
    OPPOSES,
    SUPPORTS,
    error_bars,
    escape,
    jpeg,
    outlines,
    overlay,
    rgb,
    stamped,
    wrap,
)


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
    if said != whole:  # cut short
        assert said.endswith("…") and whole.startswith(said[:-1]) and len(parts) == lines


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


def test_overlay_by_hand():
    stcg = STCG(sample_dataset())
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


def test_error_bars_reach_from_the_value_to_its_ends():
    bars = error_bars(
        [(1.0, 0.5, 3.0), (2.0, None, None), (3.0, float("nan"), float("nan")), (0.1, 0.1004, 0.1006)], 3, color="red"
    )
    figure = go.Figure().add_scatter(x=[1, 2, 3, 0.1], y=[0] * 4, error_x=bars)
    assert list(figure.data[0].error_x.array) == [2.0, 0.0, 0.0, 0.001]
    assert list(figure.data[0].error_x.arrayminus) == [0.5, 0.0, 0.0, -0.0]
    assert (figure.data[0].error_x.color, figure.data[0].error_x.symmetric) == ("red", False)


def test_only_a_synthetic_figure_is_stamped():
    (mark,) = stamped(go.Figure(), True, 44).layout.annotations
    assert (mark.text, mark.font.size) == ("SYNTHETIC", 44)
    assert stamped(go.Figure(), False).layout.annotations == ()


def test_no_logo_and_no_upload():
    assert CONFIG["displaylogo"] is False
    assert CONFIG["showSendToCloud"] is False
