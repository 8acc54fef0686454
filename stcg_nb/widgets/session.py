"""What the panels of a notebook share: the choices, the loaded model, and the explanations so far; nothing is computed twice.

Panels change the state through `Session.choose` and hear of changes through `Session.on`. Work is asked for by `Session.load`,
`Session.ask`, `Session.explain` and so on: each looks first whether its result is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from stcg_nb import explain, load_model
from stcg_nb.attention.heads import head_alignment
from stcg_nb.attention.knockout import Cut, cut, cut_edges
from stcg_nb.case import Case
from stcg_nb.inputs.open_image import open_image, suggestions, unperturbed
from stcg_nb.inputs.regions import Regions, box_regions, make_regions
from stcg_nb.interventions.perturbation_effects import Sensitivity, sensitivities
from stcg_nb.models import Model
from stcg_nb.progress import progress
from stcg_nb.settings import Settings
from stcg_nb.widgets.code import box_names
from stcg_nb.widgets.results import Asked, Explanation, Latest, key
from stcg_nb.widgets.state import ASKED, State
from stcg_nb.widgets.worker import Job, Worker

KEPT = 12  # explanations
PARTS = {"regions", "boxes"}
WHOLE = {*ASKED, *PARTS}  # with another of these the graph has other nodes
Told = Callable[[Job, str, Any], None]


class Session:
    """What the panels of one notebook share.

    Args:
        state: The first choices.

    Attributes:
        state: The choices now.
        panels: The panels that were made, by class.
        explanations: The latest, oldest first, by the `key` of the choices that they depend on.
    """

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state
        self.worker = Worker()
        self.panels: dict[type, Any] = {}
        self.explanations = Latest[str, Explanation](KEPT)
        self._heard: dict[str, list[Callable[[], None]]] = {}
        self._models = Latest[str, Model](1)
        self._pictures = Latest[str, np.ndarray](4)
        self._results = Latest[tuple[str, str], Any](64)

    # What is chosen

    def choose(self, **changes: Any) -> None:
        """Change the state; whoever listens for ``"state"`` hears of it.

        Raises:
            InputError: For a value that is not valid; the state stays as it was.
        """
        new = self.state.but(**changes)
        moved = {name for name in WHOLE if getattr(new, name) != getattr(self.state, name)}
        if moved:  # what was chosen in the graph belongs to that graph
            new = new.but(picked=None, cuts=())
        if moved - PARTS:
            new = new.but(step=None, site=None, layer=None, head=None)
        self.restore(new)

    def restore(self, state: State) -> None:
        """Replace all choices by those of another state."""
        before, self.state = self.state, state
        if state.explained() != before.explained():
            self.tell("input")
        if state != before:
            self.tell("state")

    def on(self, event: str, heard: Callable[[], None]) -> None:
        """Call a function at each event.

        Args:
            event: ``"input"``: a choice was changed that an explanation depends on; ``"state"``: any choice was; ``"model"``: one
                was loaded; ``"explained"``: there is another explanation.
            heard: The function.
        """
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
        return self._models.get(key(self.state.loaded()))

    @property
    def current(self) -> Explanation | None:
        """The explanation of what is chosen, if there is one."""
        return self.explanations.get(key(self.state.explained()))

    def picture(self, state: State | None = None) -> np.ndarray:
        """The chosen picture, uint8 ``[height, width, 3]``; raises `InputError` if there is none."""
        source = (state or self.state).image
        at = key({"image": source})
        if at not in self._pictures:
            self._pictures[at] = open_image(source)
        return self._pictures[at]

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

        return self._once("ask", key(state.asked()), work, told, wait)

    def explain(self, told: Told, *, state: State | None = None, wait: bool | None = None) -> Job:
        """Explain the answer to what is chosen, or to other choices: `Explanation`."""
        state = self.state if state is None else state
        at, links_key = key(state.explained()), key(state.linked())

        def work() -> Explanation:
            if at not in self.explanations:
                model, picture = self._loaded(state), self.picture(state)
                options = {**state.options(), "regions": regions_of(state, picture)}
                stcg = explain(picture, state.question, model, **options)
                self.explanations[at] = Explanation(state, stcg, links_key)
            return self.explanations[at]

        return self.worker.run("explain", work, self._then("explained", told), wait=wait)

    def perturbations(self, each: Callable[[Sensitivity], None], told: Told, *, wait: bool | None = None) -> Job:
        """What each chosen perturbation does: a list, whose items are first passed one by one to `each` in the worker's thread."""
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
            return cut(case, cut_edges(state.cuts, case))

        return self._once("cut", key({**state.linked(), "cuts": state.cuts}), work, told, wait)

    def heads(self, told: Told, *, wait: bool | None = None) -> Job:
        """What each head links at the chosen site."""
        state = self.state

        def work() -> xr.Dataset:
            return head_alignment(self.case(state), str(state.site))

        return self._once("heads", key({**state.linked(), "site": state.site}), work, told, wait)

    # How it is done

    def case(self, state: State) -> Case:
        """The chosen picture, question, model and regions as everything measures them; the model is loaded if it is not."""
        picture = self.picture(state)
        return Case.read(picture, state.question, self._loaded(state), regions=regions_of(state, picture))

    def _loaded(self, state: State) -> Model:
        at = key(state.loaded())
        if at not in self._models:
            self._models.clear()  # two large ones would not fit
            model = load_model(
                state.model, device=state.device, dtype=state.dtype, quantisation=state.quantisation, revision=state.revision,
            )  # fmt: skip
            with progress("loading", 1, "model"):  # raises if the job was stopped meanwhile, and the model is dropped
                self._models[at] = model
        return self._models[at]

    def _then(self, event: str, told: Told) -> Told:
        """Who is told of a job, and at its end all who listen for an event."""

        def heard(job: Job, what: str, value: Any) -> None:
            told(job, what, value)
            if what == "done":
                self.tell(event)

        return heard

    def _once(self, name: str, at: str, work: Callable[[], Any], told: Told, wait: bool | None) -> Job:
        """Run a small piece of work, or take its result from the last time."""

        def look() -> Any:
            if (name, at) not in self._results:
                self._results[name, at] = work()
            return self._results[name, at]

        if (name, at) in self._results:
            wait = True
        return self.worker.run(name, look, told, wait=wait)


def start(**choices: Any) -> Session:
    """A session for the panels of a notebook.

    Args:
        choices: Of `State`; None stands for the value in the environment (`stcg_nb.settings`), or else the default.

    Raises:
        InputError: For a choice that does not exist, or a value that is not valid.

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
    """The chosen regions, drawn or by name. A perturbed picture has those of the picture that was perturbed, so that the two can be
    compared.
    """
    if state.boxes:
        return box_regions(picture, box_names(state))
    source = unperturbed(state.image)
    return state.regions if source == state.image else make_regions(open_image(source), state.regions)
