"""The Structured Temporal Counterfactual Graph of one answer, `STCG`.

An `STCG` is immutable. Its arrays have named dimensions, units and meanings (xarray), so that no code counts axes;
`stcg_nb.graph.schema` lists them. As a graph it has nodes for words, regions and answer steps, and five kinds of edges:

*alignment*
    What the model's attention links, by the method named in the attribute ``estimator``; at least 0, without unit.
*temporal*
    From each step to the next: 1 less the Jensen-Shannon distance between the two steps' links with regions.
*counterfactual*
    What a step loses without a word or region, in nats.
*interaction*
    How far two such losses do not add up, in nats; only in a causal graph (``masks`` above 0).
*triple*
    The part of three players' joint loss that neither their own losses nor the interactions of two explain, in nats.
"""

from __future__ import annotations

import io
import json
import os
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np
import xarray as xr

from stcg_nb.errors import InputError
from stcg_nb.files import write
from stcg_nb.graph.links import Links, check_linked_by, links_by_cause, ranks
from stcg_nb.graph.schema import COORDS, FORMAT, SCHEMA, VERSION, checked, frozen
from stcg_nb.graph.trust import Trust


class Edge(NamedTuple):
    """An edge of the graph.

    Attributes:
        source, target: The nodes at its ends, such as ``"word:0"``.
        step: The answer step to which it belongs; None for links between words and regions.
        kind: One of the five kinds of `stcg_nb.graph.stcg`.
        weight: In nats for counterfactual, interaction and triple edges, else without unit.
        low, high: Its smallest and largest value over the fills that were tried, in the weight's unit; the weight itself, which is
            exact, where it was one fill; None for what was not tried.
        verdict: What a comparison with attention says (`stcg_nb.interventions.verdicts`); None without one.
        third: The third node of a triple edge; None for all others.
        share: For edges that attention has too: the part of attention to all words (or regions) that goes to this one, 0 to 1.
        rank: The place of `share` among those of all words (or regions); 1 is the most attended.
    """

    source: str
    target: str
    step: int | None
    kind: str
    weight: float
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    third: str | None = None
    share: float | None = None
    rank: int | None = None


class STCG:
    """A Structured Temporal Counterfactual Graph.

    Args:
        dataset: Has the variables of `stcg_nb.graph.schema`. `stcg_nb.explain` makes it; the STCG copies it.

    Raises:
        InputError: If the dataset does not fit the schema.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._data = frozen(checked(dataset))

    @property
    def data(self) -> xr.Dataset:
        """All arrays, read-only. Assigning to the returned dataset does not change the STCG."""
        return self._data.copy(deep=False)

    @property
    def question(self) -> str:
        return str(self._data.attrs["question"])

    @property
    def answer(self) -> str:
        return str(self._data.attrs["answer"])

    @property
    def model(self) -> str:
        return str(self._data.attrs["model"])

    @property
    def estimator(self) -> str:
        return str(self._data.attrs["estimator"])

    @property
    def causal(self) -> bool:
        """True if a causal graph was fitted to masks; only then interactions, triple links, verdicts and trust exist."""
        return int(self._data.attrs["masks"]) > 0

    @property
    def trust(self) -> Trust | None:
        """How well the graph predicts inputs that it has not seen; None without a causal graph, and where that is not defined."""
        attrs = self._data.attrs
        return None if attrs.get("trust") is None else Trust(attrs["trust"], attrs["trust_low"], attrs["trust_high"])

    @property
    def synthetic(self) -> bool:
        """True if a mock made up the numbers."""
        return bool(self._data.attrs["synthetic"])

    @property
    def image(self) -> np.ndarray:
        """The explained image, uint8 RGB ``[height, width, 3]``, read-only."""
        return self._data["image"].values

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self._data["word_text"].values.tolist())

    @property
    def steps(self) -> tuple[str, ...]:
        """The answer's tokens."""
        return tuple(self._data["token_text"].values.tolist())

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(self._data["region"].values.tolist())

    def links(self, by: str | None = None) -> Links:
        """The links ``[word, region]``, ``[step, region]`` and ``[step, word]``, all at least 0.

        Args:
            by: ``"causes"``: by causal effects, in nats (`stcg_nb.graph.links`); ``"alignment"``: by the estimator, without
                unit. Default: causes for a causal graph, else alignment.

        Raises:
            InputError: For another `by`, or ``"causes"`` of a graph that is not causal.
        """
        by = by or ("causes" if self.causal else "alignment")
        check_linked_by(by, self.causal)
        if by == "causes":
            return links_by_cause(self._data)
        return Links(*(self._data[name].values for name in Links._fields))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, STCG) and self._data.identical(other._data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"<STCG {self.model}: {self.question!r} -> {self.answer!r}; {len(self.words)} words, "
            f"{len(self.regions)} regions, {len(self.steps)} steps>"
        )

    def to_networkx(self) -> nx.MultiDiGraph:
        """The typed temporal graph, with the kinds and units of edges of `stcg_nb.graph.stcg`.

        Nodes ``word:0``, ``region:0``, ``step:0`` have ``kind``, ``label`` and numbers. Edges have ``kind``, ``weight`` and
        ``step`` (-1 if they belong to no step); those that were tried also ``low`` and ``high``, those judged their ``verdict``, and
        those that attention has too its ``share`` and ``rank``.
        *alignment* edges go from word to region, region to step and word to step; *temporal* edges from a step to the next;
        *counterfactual* edges from word and region to step; *interaction* edges between words and regions; *triple* edges
        connect two of three players and name the ``third``. An edge's key is its kind, but ``interaction:STEP`` and
        ``triple:STEP:THIRD`` for the last two.
        """
        data = self._data
        graph = nx.MultiDiGraph(**{str(k): v for k, v in data.attrs.items()})
        for i, text in enumerate(self.words):
            graph.add_node(f"word:{i}", kind="word", label=text)
        for i, name in enumerate(self.regions):
            box = dict(zip(("x0", "y0", "x1", "y1"), data["region_box"].values[i].tolist(), strict=True))
            graph.add_node(f"region:{i}", kind="region", label=name, **box)
        for t, token in enumerate(self.steps):
            numbers = {k: float(data[k].values[t]) for k in ("p", "v", "entropy", "visual_reliance")}
            graph.add_node(f"step:{t}", kind="step", label=token, step=t, **numbers)
        for edge in self.edges():
            key = {"interaction": f"interaction:{edge.step}", "triple": f"triple:{edge.step}:{edge.third}"}.get(
                edge.kind, edge.kind
            )
            values = {k: v for k, v in edge._asdict().items() if k not in ("source", "target") and v is not None}
            graph.add_edge(edge.source, edge.target, key=key, **{"step": -1, **values})
        return graph

    def edges(self) -> list[Edge]:
        """All edges."""
        return list(self._edges)

    @cached_property
    def _edges(self) -> tuple[Edge, ...]:
        data = self._data
        out: list[Edge] = []

        def add(kind: str, variable: str, source: str, target: str) -> None:
            judged: dict[str, np.ndarray] = {}
            if kind == "counterfactual":
                judged = {k: data[f"{source}_{k}"].values for k in ("low", "high", "verdict", "share")}
                judged["rank"] = ranks(judged["share"])
            for (a, b), weight in np.ndenumerate(data[variable].transpose(source, target).values):
                step = b if target == "step" else None
                values = {k: v[b, a].item() for k, v in judged.items()}
                if not values.get("verdict"):
                    values["verdict"] = None
                out.append(Edge(f"{source}:{a}", f"{target}:{b}", step, kind, float(weight), **values))

        add("alignment", "word_region", "word", "region")
        add("alignment", "step_region", "region", "step")
        add("alignment", "step_word", "word", "step")
        add("counterfactual", "region_effect", "region", "step")
        add("counterfactual", "word_effect", "word", "step")
        for t in range(1, len(self.steps)):
            out.append(Edge(f"step:{t - 1}", f"step:{t}", t, "temporal", 1 - float(data["js_previous"].values[t])))
        names = ("source", "target", "third", "step", "weight", "low", "high", "verdict")
        words, shares = len(self.words), data["word_region_share"].values
        places = ranks(shares)
        for source, target, third, step, weight, low, high, verdict in zip(
            *(data[f"link_{k}"].values.tolist() for k in names), strict=True
        ):
            ends = self._player(source), self._player(target)
            judged = (weight, low, high, verdict or None)
            if third >= 0:
                out.append(Edge(*ends, step, "triple", *judged, third=self._player(third)))
            elif source < words <= target:
                at = source, target - words
                out.append(Edge(*ends, step, "interaction", *judged, share=shares[at].item(), rank=places[at].item()))
            else:
                out.append(Edge(*ends, step, "interaction", *judged))
        return tuple(out)

    def _player(self, i: int) -> str:
        """The node of player `i`: words are counted first, then regions."""
        words = len(self.words)
        return f"word:{i}" if i < words else f"region:{i - words}"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the STCG to one file, without loss; `STCG.load` reads it.

        Raises:
            InputError: If the folder does not exist or cannot be written.
        """
        return write(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The bytes that `save` writes; equal STCGs give equal bytes."""
        arrays = {name: self._data[name].values for name in (*SCHEMA, *COORDS)}
        meta = {"format": FORMAT, "version": VERSION, "attrs": self._data.attrs}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, meta=np.array(json.dumps(meta)), **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> STCG:
        """Read a file that `save` wrote.

        Raises:
            InputError: If the file is missing, damaged, or no STCG.
        """
        label = f"{os.fspath(path)!r}"
        if not Path(path).is_file():
            raise InputError(f"There is no file {label}; give one that STCG.save wrote.")
        try:
            with np.load(path, allow_pickle=False) as file:
                meta = json.loads(str(file["meta"]))
                if meta["format"] != FORMAT or meta["version"] != VERSION:
                    raise InputError(
                        f"{label} is {meta['format']} version {meta['version']}; this reads {FORMAT} version {VERSION}: explain "
                        "again, and save that."
                    )
                dataset = xr.Dataset(
                    {name: (variable.dims, file[name]) for name, variable in SCHEMA.items()},
                    coords={name: file[name] for name in COORDS},
                    attrs=dict(meta["attrs"]),
                )
        except InputError:
            raise
        except Exception as error:  # on damaged bytes zipfile, zlib and numpy raise errors of many types
            raise InputError(f"{label} is damaged or was not written by STCG.save ({error}).") from error
        return cls(dataset)

    def to_json(self, path: str | PathLike[str]) -> Path:
        """Write ``stcg.json`` (see `stcg_nb.graph.serialise`)."""
        from stcg_nb.graph import serialise

        return write(path, serialise.json_text(self).encode())

    def to_graphml(self, path: str | PathLike[str]) -> Path:
        """Write the graph as GraphML, for Gephi, yEd or networkx."""
        from stcg_nb.graph import serialise

        return write(path, serialise.graphml_text(self).encode())
