"""The STCG itself: what goes in comes out, nothing can change it, and files that are none are refused in one sentence."""

from __future__ import annotations

import io
import json
import random
import zipfile

import networkx as nx
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import sample_dataset

from stcg_nb.errors import InputError
from stcg_nb.files import write
from stcg_nb.graph.schema import SCHEMA
from stcg_nb.graph.stcg import STCG


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


# Text that a question, an answer or a name may be made of; numpy's fixed-width text cannot end with the null character.
text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    words=st.lists(text, min_size=1, max_size=4),
    tokens=st.lists(text, min_size=1, max_size=3),
    question=text,
    answer=text,
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)),
    seed=st.integers(0, 2**31),
)
def test_saving_loses_nothing(tmp_path_factory, words, tokens, question, answer, sizes, seed):
    dataset = sample_dataset(
        question=" ".join("w" * len(words)), answer=" ".join("t" * len(tokens)), seed=seed % 5, rows=sizes[0], cols=sizes[1],
        perturbations=("center_mask", "color_shift")[: sizes[2]],
    )  # fmt: skip
    dataset["word_text"] = ("word", np.array(words))
    dataset["token_text"] = ("step", np.array(tokens))
    dataset.attrs.update(question=question, answer=answer, order_p=float("nan"), seed=seed, orders=None)
    stcg = STCG(dataset)
    again = STCG.load(stcg.save(tmp_path_factory.mktemp("save") / "a.npz"))
    assert again == stcg
    assert (again.words, again.steps) == (tuple(words), tuple(tokens))
    assert (again.question, again.answer, again.data.attrs["seed"]) == (question, answer, seed)
    for name in (*stcg.data.variables,):
        ours, theirs = stcg.data[name], again.data[name]
        assert (ours.dims, ours.dtype) == (theirs.dims, theirs.dtype)
        assert ours.values.tobytes() == theirs.values.tobytes()


def test_equality_is_of_content(stcg):
    assert STCG(sample_dataset()) == stcg
    assert STCG(sample_dataset(seed=1)) != stcg
    changed = sample_dataset()
    changed.attrs["removal"] = "blur"
    assert STCG(changed) != stcg
    assert stcg != "stcg"
    with pytest.raises(TypeError):
        hash(stcg)


def test_nothing_reaches_inside():
    source = sample_dataset()
    stcg = STCG(source)
    source["p"][:] = 0
    source["image"].values[:] = 0
    source.attrs["question"] = "another"
    data = stcg.data
    data["v"] = data["v"] * 0
    data.attrs["answer"] = "another"
    data["p"].attrs["unit"] = "another"
    assert stcg == STCG(sample_dataset())
    for name in data.data_vars:
        with pytest.raises(ValueError, match="read-only"):
            stcg.data[name].values[...] = stcg.data[name].values
    for name in data.coords:  # text that pandas holds in Arrow comes as a copy
        values = stcg.data[name].values
        if values.flags.writeable:
            values[...] = values[::-1].copy()
    assert stcg == STCG(sample_dataset())
    with pytest.raises(ValueError, match="read-only"):
        stcg.image[0, 0] = 0
    with pytest.raises(AttributeError):
        stcg.question = "another"


def test_the_networkx_view_holds_every_number(stcg):
    graph = stcg.to_networkx()
    data, (words, regions, steps) = stcg.data, (len(stcg.words), len(stcg.regions), len(stcg.steps))
    assert isinstance(graph, nx.MultiDiGraph)
    assert graph.graph["question"] == stcg.question
    assert [graph.nodes[f"word:{i}"]["label"] for i in range(words)] == list(stcg.words)
    assert [graph.nodes[f"step:{t}"]["label"] for t in range(steps)] == list(stcg.steps)
    assert {n for n, kind in graph.nodes(data="kind") if kind == "region"} == {f"region:{i}" for i in range(regions)}
    assert [graph.nodes["region:3"][k] for k in ("x0", "y0", "x1", "y1")] == data["region_box"].values[3].tolist()
    assert graph.nodes["step:1"]["p"] == float(data["p"][1])
    for variable, ends, kind in (
        ("word_region", ("word", "region"), "alignment"),
        ("step_region", ("region", "step"), "alignment"),
        ("step_word", ("word", "step"), "alignment"),
        ("region_effect", ("region", "step"), "counterfactual"),
        ("word_effect", ("word", "step"), "counterfactual"),
    ):
        source, target = ends
        for i in range(data.sizes[source]):
            for j in range(data.sizes[target]):
                edge = graph.edges[f"{source}:{i}", f"{target}:{j}", kind]
                assert edge["weight"] == float(data[variable].isel({source: i, target: j}))
                assert edge["step"] == (j if target == "step" else -1)
                assert edge["kind"] == kind
    for t in range(1, steps):
        edge = graph.edges[f"step:{t - 1}", f"step:{t}", "temporal"]
        assert edge["weight"] == pytest.approx(1 - float(data["js_previous"][t]))
        assert edge["step"] == t
    links = data.sizes["link"]
    players = [f"word:{i}" for i in range(words)] + [f"region:{i}" for i in range(regions)]
    for i in range(links):
        one = data.isel(link=i)
        step, ends = int(one["link_step"]), (players[int(one["link_source"])], players[int(one["link_target"])])
        third = int(one["link_third"])
        edge = graph.edges[*ends, f"interaction:{step}" if third < 0 else f"triple:{step}:{players[third]}"]
        assert edge.get("third") == (None if third < 0 else players[third])
        assert (edge["weight"], edge["low"], edge["high"]) == tuple(
            float(one[f"link_{k}"]) for k in ("weight", "low", "high")
        )
        assert edge.get("verdict", "") == str(one["link_verdict"].values) and edge["step"] == step
        between = (
            third < 0 and ends[0].startswith("word") and ends[1].startswith("region")
        )  # only these has attention too
        row = data["word_region_share"].values[int(one["link_source"])] if between else []
        at = int(one["link_target"]) - words
        assert edge.get("share") == (row[at] if between else None)
        assert edge.get("rank") == (1 + sum(share > row[at] for share in row) if between else None)
    assert links == 4
    assert graph.number_of_edges() == words * regions + 2 * steps * (regions + words) + steps - 1 + links


def test_counterfactual_edges_carry_their_interval_and_verdict():
    stcg = STCG(sample_dataset(causal=True))
    edge = stcg.to_networkx().edges["word:2", "step:1", "counterfactual"]
    assert edge["low"] == float(stcg.data["word_low"][1, 2]) and edge["high"] == float(stcg.data["word_high"][1, 2])
    assert edge["verdict"] == str(stcg.data["word_verdict"][1, 2].values)
    shares = stcg.data["word_share"].values[1]
    assert (edge["share"], edge["rank"]) == (shares[2], 1 + (shares > shares[2]).sum())
    assert not {"low", "share"} & set(stcg.to_networkx().edges["word:2", "step:1", "alignment"])


def test_the_view_is_a_copy(stcg):
    before = stcg.to_networkx()
    graph = stcg.to_networkx()
    graph.remove_node("word:0")
    graph.graph["question"] = "another"
    assert nx.utils.graphs_equal(stcg.to_networkx(), before)


def test_time_only_runs_forward(stcg):
    steps = nx.DiGraph((e.source, e.target) for e in stcg.edges() if e.kind == "temporal")
    assert list(nx.topological_sort(steps)) == [f"step:{t}" for t in range(len(stcg.steps))]


def test_one_token_has_no_temporal_edge():
    assert not [e for e in STCG(sample_dataset(answer="red")).edges() if e[3] == "temporal"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.drop_vars("v"), "'v' over step"),
        (lambda d: d.drop_vars("region"), "coordinate 'region'"),
        (lambda d: d.assign(p=d["p"].astype("float32")), "'p' holds float32"),
        (lambda d: d.assign(p=d["p"] * np.nan), "'p' holds values that are not finite"),
        (lambda d: d.assign(js_previous=d["js_previous"] * np.nan), "'js_previous' holds values that are not finite"),
        (lambda d: d.assign(word_effect=d["word_effect"].T), r"'word_effect' has dimensions \('word', 'step'\)"),
        (lambda d: d.assign(extra=d["p"]), "no variable 'extra'"),
        (lambda d: d.isel(region=slice(3)), "from 0 to 2"),
        (lambda d: d.assign(region_labels=d["region_labels"] * 0), "from 0 to 23"),
        (lambda d: d.assign(region_labels=d["region_labels"] - 1), "from 0 to 23"),
        (lambda d: d.isel(step=slice(0)), "at least one step"),
        (lambda d: d.isel(box=slice(3)), "4 along 'box'"),
        (lambda d: d.isel(channel=slice(1)), "3 along 'channel'"),
        (lambda d: d.assign_attrs(synthetic="no"), "'synthetic' as bool; it is 'no'"),
        (lambda d: d.assign_attrs(notes=["a"]), "'notes' is a list"),
    ],
)
def test_a_dataset_that_is_not_whole(change, part):
    with pytest.raises(InputError, match=part):
        STCG(change(sample_dataset()))


@pytest.fixture(scope="module")
def saved(stcg, tmp_path_factory):
    return stcg.save(tmp_path_factory.mktemp("saved") / "a.npz").read_bytes()


def test_a_damaged_file_is_refused_or_whole(stcg, saved, tmp_path):
    """One bit flipped anywhere: the same graph comes back or an InputError, never another graph nor another error."""
    rng, path = random.Random(0), tmp_path / "a.npz"
    refused = 0
    for _ in range(200):
        damaged = bytearray(saved)
        damaged[rng.randrange(len(saved))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            loaded = STCG.load(path)
        except InputError:
            refused += 1
        else:
            assert loaded == stcg
    assert refused > 100


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file(saved, tmp_path, share):
    (tmp_path / "a.npz").write_bytes(saved[: int(len(saved) * share)])
    with pytest.raises(InputError, match=r"a\.npz' is damaged"):
        STCG.load(tmp_path / "a.npz")


def rewritten(saved: bytes, change) -> bytes:
    """A saved file whose arrays went through a function."""
    with np.load(io.BytesIO(saved)) as file:
        arrays = dict(file)
    change(arrays)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def of_another_version(arrays):
    arrays["meta"] = np.array(json.dumps({**json.loads(str(arrays["meta"])), "version": 999}))


def of_another_format(arrays):
    arrays["meta"] = np.array(json.dumps({**json.loads(str(arrays["meta"])), "format": "gif"}))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (of_another_version, "stcg version 999; this reads stcg version"),
        (of_another_format, "is gif version"),
        (lambda a: a.update(meta=np.array("no json")), "damaged"),
        (lambda a: a.update(meta=np.array("[]")), "damaged"),
        (lambda a: a.pop("p"), "damaged"),
        (lambda a: a.update(p=a["p"][:1]), "damaged"),
        (lambda a: a.update(p=a["p"][None]), "damaged"),
        (lambda a: a.update(p=np.array([{}, {}, {}])), "damaged"),
    ],
)
def test_a_file_of_something_else_inside(saved, tmp_path, change, part):
    (tmp_path / "a.npz").write_bytes(rewritten(saved, change))
    with pytest.raises(InputError, match=part):
        STCG.load(tmp_path / "a.npz")


def test_foreign_files(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("hello.txt", "hello")
    (tmp_path / "a.txt").write_text("hello")
    for name in ("a.npy", "a.zip", "a.txt"):
        with pytest.raises(InputError, match="damaged or was not written by STCG"):
            STCG.load(tmp_path / name)
    for name in ("missing.npz", "."):
        with pytest.raises(InputError, match="There is no file"):
            STCG.load(tmp_path / name)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, stcg):
    with pytest.raises(InputError, match="cannot be written"):
        stcg.save(tmp_path / "no" / "a.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder' cannot be written.*no folder"):
        write(tmp_path / "folder", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    path = write(tmp_path / "a.txt", b"old")
    assert write(path, b"new").read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_text_of_python_objects_is_held_as_text():
    dataset = sample_dataset()
    dataset["word_text"] = ("word", dataset["word_text"].values.astype(object))
    assert STCG(dataset) == STCG(sample_dataset())
    assert STCG(dataset).data["word_text"].dtype.kind == "U"
    assert isinstance(STCG(dataset).data, xr.Dataset)


def test_units_and_meanings_survive_saving_and_are_the_schemas(stcg, tmp_path):
    again = STCG.load(stcg.save(tmp_path / "a.npz"))
    assert again.data["word_effect"].attrs["units"] == "nats" and again.data["region_box"].attrs["units"] == "pixels"
    for name, variable in SCHEMA.items():
        assert again.data[name].attrs == stcg.data[name].attrs == variable.attrs


def test_a_file_of_an_earlier_version_is_refused_with_what_to_do(stcg, tmp_path):
    path = stcg.save(tmp_path / "a.npz")
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    np.savez(path, **{**arrays, "meta": np.array(json.dumps({**meta, "version": meta["version"] - 1}))})
    with pytest.raises(
        InputError, match=f"version {meta['version'] - 1}; this reads stcg version {meta['version']}: explain"
    ):
        STCG.load(path)
