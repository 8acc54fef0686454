"""What the panels of a notebook share: the choices, the loaded model, and the explanations so far; nothing is computed twice.

Panels change the state through `Session.choose` and hear of changes through `Session.on`. Work is asked for by `Session.load`,
`Session.ask`, `Session.explain` and so on: each looks first whether its result is there.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from stcg_nb import explain, load_model
from stcg_nb.attention.heads import head_alignment
from stcg_nb.attention.knockout import Cut, cut, cut_edges
from stcg_nb.case import Case
from stcg_nb.graph.stcg import STCG
from stcg_nb.inputs.open_image import open_image, suggestions, unperturbed
from stcg_nb.inputs.regions import Regions, box_regions, make_regions
from stcg_nb.interventions.perturbation_effects import Sensitivity, sensitivities
from stcg_nb.models import Answer, Model
from stcg_nb.progress import progress
from stcg_nb.settings import Settings
from stcg_nb.viz.graph_svg import Drawing
from stcg_nb.widgets.code import box_names
from stcg_nb.widgets.state import LOADED, State
from stcg_nb.widgets.worker import Job, Worker

KEPT = 12  # explanations
PARTS = {"regions", "boxes"}
WHOLE = {*LOADED, "image", "question", *PARTS}  # another of these is another graph
Told = Callable[[Job, str, Any], None]
Written = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A finished explanation, the choices that made it, and the state of the picture's file then (`written`)."""

    state: State
    stcg: STCG
    written: Written

    @property
    def label(self) -> str:
        """For lists."""
        s = self.state
        drawn = f", {len(s.boxes)} drawn regions" if s.boxes else ""
        return f"{_short(self.stcg.question, 48)} → {_short(self.stcg.answer, 24)} ({s.image}, {s.model}, {s.masks} masks{drawn})"

    @cached_property
    def drawing(self) -> Drawing:
        return Drawing(self.stcg)


@dataclass(frozen=True, eq=False)
class Asked:
    """An answer to the chosen question, with the probability of each token, ``[step]``."""

    answer: Answer
    p: np.ndarray


class Session:
    """The panels' common ground.

    Args:
        state: What is chosen to begin with.

    Attributes:
        state: What is chosen now.
        explanations: The latest, oldest first, by what they depend on.
    """

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state
        self.worker = Worker()
        self.panels: dict[str, Any] = {}
        self.explanations: OrderedDict[str, Explanation] = OrderedDict()
        self._heard: dict[str, list[Callable[[], None]]] = {}
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._pictures: OrderedDict[tuple[str, Written], np.ndarray] = OrderedDict()
        self._results: OrderedDict[tuple[str, str], Any] = OrderedDict()

    # What is chosen

    def choose(self, **changes: Any) -> None:
        """Change the state; whoever listens for ``"state"`` hears of it.

        Raises:
            InputError: For a value that cannot be.
        """
        new = State.from_parameters({**dict(self.state), **changes})
        moved = {name for name in WHOLE if getattr(new, name) != getattr(self.state, name)}
        if moved:  # what was chosen in a graph belongs to that graph
            new = new.but(
                cuts=(),
                picked=None,
                **({} if moved <= PARTS else {"step": None, "site": None, "layer": None, "head": None}),
            )
        self.restore(new)

    def restore(self, state: State) -> None:
        """Take over a whole state."""
        before, self.state = self.state, state
        if state.explained() != before.explained():
            self.tell("input")
        if state != before:
            self.tell("state")

    def on(self, event: str, heard: Callable[[], None]) -> None:
        """Call a function at each event: ``"input"``, when what an explanation depends on was changed; ``"state"``, when anything
        was; ``"model"``, when one was loaded; ``"explained"``."""
        self._heard.setdefault(event, []).append(heard)

    def tell(self, event: str) -> None:
        for heard in self._heard.get(event, []):
            heard()

    def close(self) -> None:
        """Stop all work."""
        self.worker.close()

    # What is there already

    @property
    def model(self) -> Model | None:
        """The chosen model, if it is loaded."""
        return self._models.get(self._model_key(self.state))

    @property
    def current(self) -> Explanation | None:
        """The explanation of what is chosen, if there is one."""
        return self.explanations.get(_key(self.state.explained()))

    def picture(self, state: State | None = None) -> np.ndarray:
        """The chosen picture, uint8 ``[height, width, 3]``; raises `InputError` if there is none."""
        source = (state or self.state).image
        key = (source, written(source))
        if key not in self._pictures:
            _keep(self._pictures, key, open_image(source), 4)
        return self._pictures[key]

    def suggestions(self) -> tuple[str, ...]:
        """Questions that suit the chosen picture."""
        return suggestions(self.state.image)

    # Work

    def load(self, told: Told, *, wait: bool | None = None) -> Job:
        """Load the chosen model."""
        state = self.state
        return self.worker.run("load", lambda: self._loaded(state), self._then("model", told), wait=wait)

    def ask(self, told: Told, *, wait: bool | None = None) -> Job:
        """Answer the chosen question: `Asked`."""
        state = self.state

        def work() -> Asked:
            case = self.case(state)
            return Asked(case.answer, case.trace().p[0])

        key = _key({k: state.explained()[k] for k in (*LOADED, "image", "question")})
        return self._once("ask", key, work, told, wait)

    def explain(self, told: Told, *, state: State | None = None, wait: bool | None = None) -> Job:
        """Explain the answer to what is chosen, or to other choices: `Explanation`."""
        state = self.state if state is None else state
        key, then = _key(state.explained()), written(state.image)

        def work() -> Explanation:
            if key not in self.explanations:
                model, picture = self._loaded(state), self.picture(state)
                options = {**state.options(), "regions": regions_of(state, picture)}
                stcg = explain(picture, state.question, model, **options)
                _keep(self.explanations, key, Explanation(state, stcg, then), KEPT)
            return self.explanations[key]

        return self.worker.run("explain", work, self._then("explained", told), wait=wait)

    def perturbations(self, each: Callable[[Sensitivity], None], told: Told, *, wait: bool | None = None) -> Job:
        """What each chosen perturbation does, told one by one to `each`, in the worker's thread; then all of them."""
        state = self.state

        def work() -> list[Sensitivity]:
            found = []
            for one in sensitivities(self.case(state), state.perturbations, state.strength, state.seed):
                found.append(one)
                each(one)
            return found

        return self.worker.run("perturb", work, told, wait=wait)

    def cut(self, told: Told, *, wait: bool | None = None) -> Job:
        """What the answer becomes without the chosen links: `Cut`."""
        state = self.state

        def work() -> Cut:
            case = self.case(state)
            return cut(case, cut_edges(state.cuts, case.model))

        key = _key({**state.linked(), "cuts": state.cuts})
        return self._once("cut", key, work, told, wait)

    def heads(self, told: Told, *, wait: bool | None = None) -> Job:
        """What each head links at the chosen site."""
        state = self.state

        def work() -> xr.Dataset:
            return head_alignment(self.case(state), str(state.site))

        key = _key({**state.linked(), "site": state.site})
        return self._once("heads", key, work, told, wait)

    # How

    def case(self, state: State) -> Case:
        """The chosen picture, question, model and regions as everything measures them; the model is loaded if it is not."""
        picture = self.picture(state)
        return Case.read(picture, state.question, self._loaded(state), regions=regions_of(state, picture))

    def _loaded(self, state: State) -> Model:
        key = self._model_key(state)
        if key not in self._models:
            self._models.clear()  # two large ones would not fit
            model = load_model(
                state.model, device=state.device, dtype=state.dtype, quantisation=state.quantisation, revision=state.revision,
            )  # fmt: skip
            with progress("loading", 1, "model"):  # one that was stopped meanwhile is dropped here
                self._models[key] = model
        return self._models[key]

    def _model_key(self, state: State) -> str:
        return _key({name: getattr(state, name) for name in LOADED})

    def _then(self, event: str, told: Told) -> Told:
        """Tell everybody once it is done."""

        def heard(job: Job, what: str, value: Any) -> None:
            told(job, what, value)
            if what == "done":
                self.tell(event)

        return heard

    def _once(self, name: str, key: str, work: Callable[[], Any], told: Told, wait: bool | None) -> Job:
        """A small piece of work whose results are kept."""

        def look() -> Any:
            if (name, key) not in self._results:
                _keep(self._results, (name, key), work(), 64)
            return self._results[name, key]

        if (name, key) in self._results:
            wait = True
        return self.worker.run(name, look, told, wait=wait)


def start(**choices: Any) -> Session:
    """A session for the panels of a notebook.

    Args:
        choices: Of `State`; None stands for what the environment asks for (`stcg_nb.settings`), or else the default.

    Raises:
        InputError: For a choice that does not exist or cannot be.

    >>> start(model="mock", image=None).state.model
    'mock'
    """
    settings = Settings()
    asked: dict[str, Any] = {
        "model": settings.model_name, "device": settings.device, "dtype": settings.dtype, "seed": settings.seed,
        "quantisation": settings.quantisation, "revision": settings.revision,
        **({"image": settings.image_path} if settings.image_path else {}),
    }  # fmt: skip
    chosen = {**asked, **{name: value for name, value in choices.items() if value is not None}}
    if "question" not in chosen and chosen.get("image", "demo") != "demo":
        chosen["question"] = suggestions(chosen["image"])[0]
    return Session(State.from_parameters(chosen))


def regions_of(state: State, picture: np.ndarray) -> str | Regions:
    """The chosen regions, drawn or by name; of a perturbed picture those of the picture before, so that the two compare."""
    if state.boxes:
        return box_regions(picture, box_names(state))
    source = unperturbed(state.image)
    return state.regions if source == state.image else make_regions(open_image(source), state.regions)


def written(source: str) -> Written:
    """Size (bytes) and time (ns) of the file behind a picture, since one that is overwritten is another picture; none if drawn."""
    try:
        status = os.stat(unperturbed(source))
    except (OSError, ValueError):  # no such file, or no name of one: `open_image` says so where the picture is wanted
        return ()
    return status.st_size, status.st_mtime_ns


def _key(values: dict[str, Any]) -> str:
    known = {"written": written(values["image"])} if "image" in values else {}
    return json.dumps({**values, **known}, sort_keys=True)


def _keep(store: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    store[key] = value
    while len(store) > most:
        store.popitem(last=False)


def _short(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
