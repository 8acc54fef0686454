"""The summary of a sweep: means and intervals against plain pandas and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stcg_nb import STCG
from stcg_nb.sweep import SweepOptions, sweep
from stcg_nb.sweep import summary as summary

NAMES = ("color_shift", "gaussian_noise")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("summary")
    rng = np.random.default_rng(0)
    lines = ["image,question,answer,kind"]
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(root / f"{i}.png")
        lines += [
            f"{i}.png,what color is the car?,the mock answer,color",
            f"{i}.png,how many cars?,a mock reply,<b>&count",
        ]
    (root / "t.csv").write_text("\n".join([*lines, "gone.png,what?,x,color"]))
    how = SweepOptions(regions="grid:2x2", perturbations=NAMES, masks=0)
    sweep(root / "t.csv", root / "sweep", "mock", how, report=lambda _: None)
    return root / "sweep"


@pytest.fixture(scope="module")
def rows(folder: Path) -> pd.DataFrame:
    return summary.explained_rows(folder)


def test_skipped_questions_count_nowhere(rows: pd.DataFrame, folder: Path):
    assert len(rows) == 8
    assert "9 of 9 questions done, 1 of them skipped. SYNTHETIC" in summary.headline(folder)


def test_accuracy_is_over_all_and_by_kind(rows: pd.DataFrame):
    table = summary.accuracy(rows)
    assert list(table.index) == ["all", "<b>&count", "color"]
    assert table.loc["all", "mean"] == rows["accuracy"].mean()
    assert table["n"].tolist() == [8, 4, 4]
    assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()
    assert summary.accuracy(rows.assign(accuracy=np.nan)).empty


def test_perturbations_and_colour(rows: pd.DataFrame):
    tables = summary.perturbations(rows, NAMES)
    assert tables["ΔW"].loc["color_shift", "mean"] == pytest.approx(rows["delta_w_color_shift"].mean())
    assert tables["|Δp|"].loc["gaussian_noise", "mean"] == pytest.approx(rows["delta_p_gaussian_noise"].abs().mean())
    assert tables["answers changed"].loc["color_shift", "mean"] == rows["flipped_color_shift"].mean()
    ours, others = summary.colour(rows, NAMES).values()
    both = (ours["mean"] + others["mean"]) / 2  # four questions each
    assert both.to_list() == pytest.approx(tables["|Δp|"]["mean"].to_list())


def test_words_and_steps(rows: pd.DataFrame, folder: Path):
    row = rows.iloc[0]
    tables = summary.words(rows.iloc[:1])
    stcg = STCG.load(folder / row["artefact"])
    content = [row["words"].tolist().index(w) for w in ("color", "car")]
    links = stcg.data["word_region"].values[content]
    share = links / links.sum(1, keepdims=True)
    by_hand = {
        "lost without a word (nats)": stcg.data["word_effect"].values.mean(0)[content].mean(),
        "link with the picture": links.sum(1).mean(),
        "spread over regions (nats)": -(share * np.log(share)).sum(1).mean(),
    }
    assert {label: table.loc["content", "mean"] for label, table in tables.items()} == pytest.approx(by_hand)
    articles = rows.assign(words=[["the"]] * 8, **{key: [[1.0]] * 8 for key in summary.WORDS})
    assert [table["n"].tolist() for table in summary.words(articles).values()] == [[0, 8]] * 3
    steps = summary.steps(rows)
    assert list(steps.index) == ["token 1", "token 2", "token 3"]
    assert steps.loc["token 2", "mean"] == pytest.approx(np.mean([v[1] for v in rows["visual_reliance"]]))


def test_faithfulness_is_the_correlation_of_links_with_effects(rows: pd.DataFrame, folder: Path):
    data = STCG.load(folder / rows.iloc[0]["artefact"]).data
    links, effects = (np.hstack([data[f"{a}"].values, data[f"{b}"].values]) for a, b in (
        ("step_word", "step_region"), ("word_effect", "region_effect")
    ))  # fmt: skip
    by_hand = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(links, effects, strict=True)])
    assert rows.iloc[0]["seed_faithfulness"] == pytest.approx(by_hand)
    table = summary.faithfulness(rows)
    assert list(table.index) == ["all", "<b>&count", "color"]
    assert table.loc["all", "mean"] == pytest.approx(rows["seed_faithfulness"].mean())
    assert summary.faithfulness(rows.assign(seed_faithfulness=None)).empty


def test_trust(rows: pd.DataFrame):
    assert summary.trust(rows).empty  # of a sweep without causal graphs
    known = rows.assign(trust=[0.5, None, *[1.0] * (len(rows) - 2)])
    table = summary.trust(known)
    assert table.loc["all", "n"] == len(rows) - 1
    assert table.loc["all", "mean"] == pytest.approx(known["trust"].dropna().mean())


def test_verdicts(rows: pd.DataFrame):
    assert summary.verdicts(rows).empty
    judged = summary.verdicts(rows.assign(confirmed=1, hidden=2, spurious=3, unclear=4))
    assert judged["mean"].tolist() == [1, 2, 3, 4]


def test_figures_say_n_escape_what_is_not_theirs_and_say_that_they_are_synthetic(rows: pd.DataFrame):
    figure = summary.dots({"accuracy": summary.accuracy(rows)}, synthetic=True)
    assert figure.layout.xaxis.title.text == "accuracy<br>n = 4 to 8"
    assert list(figure.data[0].y) == ["color", "&lt;b&gt;&amp;count", "all"]
    assert figure.layout.annotations[-1].text == "SYNTHETIC"
