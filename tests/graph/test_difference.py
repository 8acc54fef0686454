"""The difference of two graphs, against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sample import sample_dataset

from stcg_nb.graph.difference import _match_texts, difference
from stcg_nb.graph.stcg import STCG


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset(causal=True))


def changed(stcg: STCG, **effects: tuple[tuple[int, int], float]) -> STCG:
    """The same graph with single effects moved, their intervals with them."""
    data = stcg.data.copy(deep=True)
    for name, (place, by) in effects.items():
        for variable in (f"{name}_effect", f"{name}_low", f"{name}_high"):
            values = data[variable].values.copy()
            values[place] += by
            data[variable] = (data[variable].dims, values)
    return STCG(data)


def test_a_graph_does_not_differ_from_itself(stcg):
    found = difference(stcg, stcg)
    assert all(c.change == 0 and not c.sure for c in found.changes)
    assert found.matched == {name: name for name in found.to_networkx()}
    assert found.only_first == found.only_second == ()


def test_one_moved_effect_is_the_one_change(stcg):
    found = difference(stcg, changed(stcg, word=((1, 2), 5.0)))
    first, *rest = found.changes
    assert (first.source, first.target, first.step, first.kind) == ("word:2", "step:1", 1, "counterfactual")
    assert first.change == pytest.approx(5.0)
    assert first.sure
    assert not any(c.change for c in rest)


def test_a_change_within_the_intervals_is_not_sure(stcg):
    found = difference(stcg, changed(stcg, region=((0, 3), 0.6)))  # the sample's intervals reach 0.5 each way
    assert found.changes[0].change == pytest.approx(0.6)
    assert not found.changes[0].sure


def test_turning_the_two_round_turns_every_sign(stcg):
    other = changed(stcg, word=((0, 1), -2.0), region=((1, 4), 3.0))
    there, back = difference(stcg, other), difference(other, stcg)
    named = {(c.source, c.target, c.step, c.kind): c.change for c in back.changes}
    assert all(named[c.source, c.target, c.step, c.kind] == -c.change for c in there.changes)


def test_words_and_tokens_are_matched_by_text():
    assert _match_texts("word", ("what", "color", "is", "the", "car"), ("what", "is", "the", "red", "car")) == {
        "word:0": "word:0", "word:2": "word:1", "word:3": "word:2", "word:4": "word:4",
    }  # fmt: skip
    assert _match_texts("word", (), ("a",)) == {}


def test_regions_are_matched_by_what_they_cover():
    first, second = STCG(sample_dataset(rows=2, cols=2)), STCG(sample_dataset(rows=2, cols=2, seed=1))
    labels = second.data["region_labels"].values
    turned = STCG(second.data.assign(region_labels=(("y", "x"), 3 - labels)))
    matched = difference(first, turned).matched
    assert {k: v for k, v in matched.items() if k.startswith("region")} == {
        f"region:{i}": f"region:{3 - i}" for i in range(4)
    }


def test_regions_that_share_little_stay_alone():
    found = difference(STCG(sample_dataset(rows=4, cols=6)), STCG(sample_dataset(rows=1, cols=2)))
    assert not any(name.startswith("region") for name in found.matched)
    assert {c.kind for c in found.changes} >= {"counterfactual", "temporal"}
    assert not any("region" in c.source or "region" in c.target for c in found.changes)


def test_pictures_of_two_sizes_compare(stcg):
    data = sample_dataset(causal=True)
    half = {k: (data[k].dims, data[k].values[::2, ::2]) for k in ("image", "region_labels")}
    small = STCG(data.drop_vars(["image", "region_labels"]).assign(half))
    found = difference(stcg, small)
    assert len(found.matched) == len(stcg.words) + len(stcg.regions) + len(stcg.steps)


def test_an_interaction_that_one_graph_lacks_counts_as_zero(stcg):
    data = stcg.data
    names = [name for name in data.data_vars if str(name).startswith("link_")]
    fewer = STCG(data.assign({name: ("link", data[name].values[:0]) for name in names}))
    found = difference(stcg, fewer).of_kind("interaction")
    assert len(found) == int((data["link_third"] < 0).sum())
    assert all(c.after == 0 and c.before != 0 for c in found)
    assert [c.sure for c in sorted(found, key=lambda c: c.before)] == [True, True, True]


def test_as_a_graph_it_holds_the_same_numbers(stcg):
    found = difference(stcg, changed(stcg, word=((1, 2), 5.0)))
    graph = found.to_networkx()
    assert graph.number_of_edges() == len(found.changes)
    assert graph.edges["word:2", "step:1", "counterfactual:1"]["weight"] == pytest.approx(5.0)
    assert np.isfinite([w for _, _, w in graph.edges(data="weight")]).all()
