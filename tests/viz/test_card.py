"""The faithfulness card as a figure: every measure that it names, in its order, and nothing that it does not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stcg_nb.errors import InputError
from stcg_nb.viz.card import card_figure

ROOT = Path(__file__).parents[2]


def row(value, role="ours", label="a measure", **interval):
    return {"value": value, "label": label, "role": role, **interval}


def card(*rows, **more):
    return {"format": 2, "measures": {f"m{i}": r for i, r in enumerate(rows)}, **more}


def points(figure):
    return {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}


def test_each_measure_has_a_row_and_each_role_a_look():
    figure = card_figure(
        card(row(0.91234), row(0.4, "baseline"), row(None), row(0.99, "context"), row(-0.01, "sanity check"), row(0.5))
    )
    assert points(figure) == {
        "the causal graph": {0: 0.912, 4: 0.5}, "baseline": {1: 0.4}, "sanity check: must be near 0": {3: -0.01},
    }  # fmt: skip
    assert [a.text for a in figure.layout.annotations] == ["0.91", "0.40", "not defined", "-0.01", "0.50"]
    assert len({(t.marker.color, t.marker.symbol) for t in figure.data}) == 3
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "the first row is on top"


def test_intervals_and_title_say_how_many_questions():
    figure = card_figure(card(row(0.5, low=0.3, high=0.9), model="<b>x", n=5, masks=64))
    error = figure.data[0].error_x
    assert (error.array[0], error.arrayminus[0]) == pytest.approx((0.4, 0.2))
    assert "5 questions" in figure.layout.title.text and "64 masks" in figure.layout.title.text
    one = card_figure(card(row(0.5)))
    assert "one explanation" in one.layout.title.text


def test_what_a_card_says_is_no_markup():
    figure = card_figure(card(row(0.5, label="<i>label"), model="<b>x"))
    assert "<i>" not in figure.layout.yaxis.ticktext[0] and "<b>x" not in figure.layout.title.text


def test_the_measured_card_is_drawn():
    measured = json.loads((ROOT / "docs" / "card.json").read_text(encoding="utf-8"))
    figure = card_figure(measured)
    drawn = [m for m in measured["measures"].values() if m["role"] != "context"]
    assert list(figure.layout.yaxis.ticktext) == [m["label"] for m in drawn]
    shown = {y: x for trace in points(figure).values() for y, x in trace.items()}
    assert shown == {y: round(m["value"], 3) for y, m in enumerate(drawn)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"format": 1, "lds": {"value": 0.9}}, "format 1, and only format 2"),
        ({"format": 3, "measures": {}}, "format 3, and only format 2"),
        ({"lds": 1.0}, "no faithfulness card"),
        ({"format": 2, "measures": []}, "no faithfulness card"),
        (card(), "no faithfulness card"),
        (card(0.5), "'m0' has no value"),
        (card({"value": 0.5, "role": "ours"}), "'m0' has no label"),
    ],
)
def test_what_is_no_card(given, says):
    with pytest.raises(InputError, match=says):
        card_figure(given)
