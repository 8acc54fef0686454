"""``stcg.json`` and GraphML, read back by other readers and compared with the arrays."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import networkx as nx
import numpy as np
import pytest
from sample import sample_dataset

from stcg_nb.graph.serialise import graphml_text, json_text
from stcg_nb.graph.stcg import STCG

HOSTILE = "what is <b>\"red\"</b> & 'blue' a\x00b\x0b\x1b 🚗 \ufffe ]]> </script> \u202e end?"


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


def strict(text: str):
    """JSON as the standard has it: no NaN, no Infinity, no key twice."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    def once(pairs):
        assert len({k for k, _ in pairs}) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


@pytest.fixture(scope="module")
def content(stcg):
    return strict(json_text(stcg))


def test_json_says_what_was_explained(stcg, content):
    assert content["answer"] == stcg.answer
    assert content["question"] == stcg.question
    assert content["model"] == "tiny" and content["synthetic"] is False
    assert content["image_size"] == [stcg.image.shape[1], stcg.image.shape[0]]
    assert content["region_spec"] == "grid:4x6"


def test_json_and_graphml_say_how_far_the_graph_can_be_trusted(content):
    assert "trust" not in content and content["curve"] == []
    dataset = sample_dataset(causal=True)
    known = strict(json_text(STCG(dataset)))
    numbers = {"trust": 0.92, "trust_low": 0.87, "trust_high": 0.95}
    asked = {"masks": 256, "masks_asked": "256", "fills": "blur, inpaint", "removal": "mean"}
    assert {k: known[k] for k in (*numbers, *asked)} == {**numbers, **asked}
    curve = zip(dataset["curve_links"].values, dataset["curve_lds"].values, strict=True)
    assert [(point["links"], point["lds"]) for point in known["curve"]] == list(curve)
    assert nx.parse_graphml(graphml_text(STCG(dataset))).graph.items() >= {**numbers, **asked}.items()
    dataset.attrs.update(trust=None, trust_low=None, trust_high=None)
    assert strict(json_text(STCG(dataset)))["trust"] is None
    assert "trust" not in nx.parse_graphml(graphml_text(STCG(dataset))).graph


def test_json_of_an_oblong_image_gives_width_then_height():
    dataset = sample_dataset().isel(y=slice(0, 200))
    content = strict(json_text(STCG(dataset)))
    assert content["image_size"] == [256, 200]
    assert content["regions"][0]["mask"]["size"] == [200, 256]


def test_json_steps_and_words(stcg, content):
    assert [s["token"] for s in content["steps"]] == list(stcg.steps)
    assert [s["step"] for s in content["steps"]] == [0, 1, 2]
    for t, step in enumerate(content["steps"]):
        for name in ("p", "v", "entropy", "visual_reliance"):
            assert step[name] == float(stcg.data[name][t])
    assert content["steps"][0]["js_previous"] is None
    assert content["steps"][1]["js_previous"] == float(stcg.data["js_previous"][1])
    assert [w["text"] for w in content["words"]] == list(stcg.words)


def test_json_regions_give_back_the_partition(stcg, content):
    """Masks decoded by a plain loop."""
    labels = np.full(stcg.image.shape[:2], -1)
    for i, region in enumerate(content["regions"]):
        pixels, inside = [], False
        for run in region["mask"]["counts"]:
            pixels += [inside] * run
            inside = not inside
        mask = np.array(pixels).reshape(region["mask"]["size"])
        x0, y0, x1, y1 = region["box"]
        ys, xs = np.nonzero(mask)
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x0, y0, x1, y1)
        assert (labels[mask] == -1).all()
        labels[mask] = i
        assert (region["id"], region["name"]) == (f"region:{i}", stcg.regions[i])
    np.testing.assert_array_equal(labels, stcg.data["region_labels"].values)


def test_json_perturbations(stcg, content):
    assert [p["name"] for p in content["perturbations"]] == stcg.data["perturbation"].values.tolist()
    for i, entry in enumerate(content["perturbations"]):
        for name in ("delta_w", "delta_w_js", "delta_p", "pixel_distance", "strength"):
            assert entry[name] == float(stcg.data[name][i])
        assert entry["flipped"] is bool(stcg.data["flipped"][i])
        assert entry["answer"] == str(stcg.data["perturbed_answer"].values[i])
        assert entry["p"] == stcg.data["perturbed_p"].values[i].tolist()


def test_json_edges_are_those_of_the_graph(stcg, content):
    ids = {x["id"] for part in ("words", "regions", "steps") for x in content[part]}
    graph = nx.MultiDiGraph()
    for edge in content["edges"]:
        keys = {"interaction": f"interaction:{edge['step']}", "triple": f"triple:{edge['step']}:{edge['third']}"}
        more = {"coefficient"} if edge["kind"] in keys else set()
        always = {"source", "target", "third", "step", "kind", "weight", "low", "high", "verdict", "share", "rank"}
        assert set(edge) == always | more
        assert {edge["source"], edge["target"]} <= ids and (edge["third"] is not None) == (edge["kind"] == "triple")
        key = keys.get(edge["kind"], edge["kind"])
        graph.add_edge(edge["source"], edge["target"], key=key, weight=edge["weight"])
    view = stcg.to_networkx()
    assert {(a, b, k): w for a, b, k, w in graph.edges(keys=True, data="weight")} == {
        (a, b, k): w for a, b, k, w in view.edges(keys=True, data="weight")
    }


def test_the_json_alone_predicts_masks(stcg, content):
    """By loops over what a reader of the file has: intercept, nodes' and interaction edges' coefficients."""
    players = [w["id"] for w in content["words"]] + [r["id"] for r in content["regions"]]
    present = dict(zip(players, np.random.default_rng(0).random(len(players)) < 0.6, strict=True))
    said = list(content["intercepts"])
    for node in content["nodes"]:
        said[node["step"]] += node["coefficient"] * present[node["id"]]
    for edge in content["edges"]:
        if edge["kind"] in ("interaction", "triple"):
            ends = [edge[k] for k in ("source", "target", "third") if edge[k] is not None]
            said[edge["step"]] += edge["coefficient"] * all(present[e] for e in ends)
    data, z = stcg.data, np.array([present[p] for p in players], dtype=float)
    coefficients = np.concatenate([data["word_coefficient"].values, data["region_coefficient"].values], 1)
    expected = data["intercept"].values + coefficients @ z
    for i in range(data.sizes["link"]):
        one = data.isel(link=i)
        product = z[int(one["link_source"])] * z[int(one["link_target"])]
        product *= 1 if (third := int(one["link_third"])) < 0 else z[third]
        expected[int(one["link_step"])] += float(one["link_coefficient"]) * product
    np.testing.assert_allclose(said, expected)


def test_json_without_perturbations_and_with_an_attribute_that_is_no_number():
    dataset = sample_dataset(perturbations=())
    dataset.attrs.update(order_p=float("nan"), order_js=float("-inf"))
    content = strict(json_text(STCG(dataset)))
    assert content["perturbations"] == []
    assert content["order_p"] is content["order_js"] is None


def test_json_of_hostile_text_is_the_text():
    content = strict(json_text(STCG(sample_dataset(question=HOSTILE))))
    assert content["question"] == HOSTILE
    assert [w["text"] for w in content["words"]] == HOSTILE.rstrip("?").split()


def test_files_hold_the_texts(stcg, tmp_path):
    assert stcg.to_json(tmp_path / "a.json").read_text(encoding="utf-8") == json_text(stcg)
    assert stcg.to_graphml(tmp_path / "a.graphml").read_text(encoding="utf-8") == graphml_text(stcg)


def read(stcg: STCG) -> nx.MultiDiGraph:
    return nx.parse_graphml(graphml_text(stcg), force_multigraph=True)


def test_graphml_reads_back_as_the_same_graph(stcg):
    again, view = read(stcg), stcg.to_networkx()
    assert again.is_directed()
    assert dict(again.nodes(data=True)) == dict(view.nodes(data=True))
    ours = sorted((a, b, d["kind"], d["step"], d["weight"]) for a, b, d in view.edges(data=True))
    theirs = sorted((a, b, d["kind"], d["step"], d["weight"]) for a, b, d in again.edges(data=True))
    assert theirs == ours
    assert again.graph["question"] == stcg.question
    assert again.graph["synthetic"] is False
    assert again.graph["p_answer"] == stcg.data.attrs["p_answer"]


def test_graphml_of_hostile_text_is_xml_that_says_it():
    stcg = STCG(sample_dataset(question=HOSTILE, answer="<end> & \x01 ok"))
    ElementTree.fromstring(graphml_text(stcg))
    expected = HOSTILE
    for character in "\x00\x0b\x1b\ufffe":  # XML 1.0 has no place for these
        expected = expected.replace(character, "\ufffd")
    again = read(stcg)
    assert again.graph["question"] == expected
    assert [again.nodes[f"step:{t}"]["label"] for t in range(4)] == ["<end>", "&", "\ufffd", "ok"]


def test_graphml_leaves_out_what_is_no_number():
    dataset = sample_dataset()
    dataset.attrs.update(order_p=float("nan"), note=None)
    again = read(STCG(dataset))
    assert not {"order_p", "note"} & set(again.graph)
