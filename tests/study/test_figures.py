"""The findings' figures show the numbers of their rows, say n, and fit a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.scenes.questions import KINDS
from stcg_nb.stats.comparisons import Comparison
from stcg_nb.study import figures as figures
from stcg_nb.study.findings import Finding

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sensitivity() -> pd.DataFrame:
    """Perturbation k moves links by about k + 1 thousandths; color_shift changes colour answers alone."""
    return pd.DataFrame(
        {
            "scene": s, "kind": KINDS[s % 11], "perturbation": k, "delta_w": (i + 1 + 0.2 * RNG.random()) / 1000, "distance": 0.06,
            "delta_p": -0.9 if k == "color_shift" and s % 11 == 0 else -0.1, "flipped": k == "color_shift" and s % 2 == 0,
        }
        for s in range(44)
        for i, k in enumerate(DEFAULT)
    )  # fmt: skip


def notes(figure) -> str:
    return " ".join(a.text for a in figure.layout.annotations).replace("<br>", " ")


def test_links_moved(sensitivity):
    figure = figures.links_moved(sensitivity)
    labels = list(figure.layout.yaxis.ticktext)
    assert labels[0] == "center mask" and labels[-1] == "gaussian noise"
    means = [t.x[0] for t in figure.data[:6]]
    assert means == sorted(means) and means[0] == pytest.approx(1.1, abs=0.1)
    assert [t.x[0] for t in figure.data[6:]] == [6, 5, 4, 3, 2, 1]
    assert "n = 44" in notes(figure)


def test_probability_changed(sensitivity):
    table = figures.probability_changed(sensitivity).data[0]
    assert table.y[-1] == "color (4)" and table.x[1] == "color shift"
    assert table.z[-1][1] == 0.9 and table.z[0][1] == 0.1
    pair = figures.colour_against_others(sensitivity)
    assert {t.name for t in pair.data} == {"colour questions, n = 4", "other questions, n = 40"}


def test_dissociation(sensitivity):
    figure = figures.dissociation(sensitivity)
    by_name = {t.name.split(" (")[0]: t for t in figure.data}
    assert by_name["color shift"].y[0] == 50 and by_name["gaussian noise"].y[0] == 0
    assert by_name["gaussian noise"].name.endswith("(44)") and figure.data[-1].marker.symbol == "star"


def test_words_and_time():
    rows = pd.DataFrame(
        {"scene": s, "content": c, "strength": 1.0 + c, "entropy": 4.0 - c, "effect": 3.0 * c}
        for s in range(12)
        for c in (False, True)
    )
    figure = figures.word_classes(rows)
    assert [t.x[0] for t in figure.data] == [1, 2, 4, 3, 0, 3]
    maps = figures.word_maps(np.zeros((20, 20, 3), np.uint8), ["<b>", "car"], [False, True], np.ones((2, 4, 4)))
    assert "<b>car</b>" in notes(maps) and "&lt;b&gt;" in notes(maps)
    distance = (np.abs(np.subtract.outer(range(4), range(4))) / 4).tolist()
    told = pd.DataFrame(
        {"scene": s, "tokens": ["a", "red", "car", "then"], "distance": distance, "reliance": [1.0, 5, 6, 1]}
        for s in range(6)
    )
    time = figures.evolution(told, np.full(6, 20.0), RNG.normal(size=200))
    assert list(time.data[0].x) == [1, 2, 3] and list(time.data[0].y) == [0.25, 0.5, 0.75]
    naming, joining = figures.reliance(told).data
    assert (list(naming.x), list(naming.y)) == ([2, 3], [5, 6])
    assert (list(joining.x), list(joining.y)) == ([1, 4], [1, 1])


def test_faithful_and_stable():
    """Attention and the causal graph at their own means, the same questions for both."""
    means = {
        "lds_attention": 0.4, "lds_graph": 0.9, "attention_seed_faithfulness": 0.3, "seed_faithfulness": 1.0,
        "attention_jaccard_noise": 0.7, "jaccard_noise": 0.8,
    }  # fmt: skip
    wiggle = np.tile([-0.01, 0.01], 10)
    rows = pd.DataFrame({"scene": np.arange(20), **{k: v + wiggle for k, v in means.items()}})
    figure = figures.faithful_and_stable(rows)
    causal, attention = ([t.x[0] for t in figure.data if t.name == name] for name in ("causal graph", "attention"))
    assert np.allclose(causal, [0.8, 1.0, 0.9]) and np.allclose(attention, [0.7, 0.3, 0.4])
    assert [t.split("<br>")[0] for t in figure.layout.yaxis.ticktext] == [
        "stability",
        "leave-one-out",
        "predicts masks",
    ]
    assert "n = 20 questions" in notes(figure)
    rows.loc[3, ["attention_jaccard_noise", "jaccard_noise"]] = np.nan  # an answer that no disturbed picture kept
    assert "n = 19 to 20 questions" in notes(figures.faithful_and_stable(rows))


def test_verdicts():
    made = [
        Finding(key, (Comparison("x", effect, effect - 0.1, effect + 0.1, p, 50),), p, {})
        for key, effect, p in (("H1", 0.3, 0.001), ("H2", 0.05, 0.3), ("H3", -5.0, 1.0))
    ]
    figure = figures.verdicts(made)
    assert list(figure.layout.yaxis.ticktext) == [
        "<b>H3</b><br>not supported", "<b>H2</b><br>undecided", "<b>H1</b><br>supported",
    ]  # fmt: skip
    assert [t.x[0] for t in figure.data] == [-8, 0.5, 3]
    assert len({t.marker.symbol for t in figure.data}) == 3


def test_made_up_numbers_say_so(sensitivity):
    assert "SYNTHETIC" in notes(figures.stamped(figures.links_moved(sensitivity), True))
    assert "SYNTHETIC" not in notes(figures.stamped(figures.links_moved(sensitivity), False))


def test_all_fit_a_column_with_letters_that_can_be_read(sensitivity):
    """At 3.4 inches 660 pixels are 245 points: a letter of 16 is 6 points."""
    for draw in (figures.links_moved, figures.probability_changed, figures.colour_against_others, figures.dissociation):
        figure = draw(sensitivity)
        sizes = [figure.layout.font.size, *(a.font.size for a in figure.layout.annotations if a.font.size)]
        assert figure.layout.width == 660 and min(sizes) >= 16
