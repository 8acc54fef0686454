"""Perturb the picture: previews beside the original, and what each perturbation does to links and answer once it is measured."""

from __future__ import annotations

import asyncio
from typing import Any

import ipywidgets as w
import numpy as np

from stcg_nb.errors import StcgError
from stcg_nb.inputs.images import thumbnail
from stcg_nb.inputs.perturbations import PERTURBATIONS, perturb
from stcg_nb.interventions.perturbation_effects import Sensitivity
from stcg_nb.viz.theme import jpeg
from stcg_nb.widgets.markup import fill, hint, warning
from stcg_nb.widgets.panel import PANELS, WIDE, Panel
from stcg_nb.widgets.results import key
from stcg_nb.widgets.session import Session

SIDE = 140  # so that seven stand in a row


@PANELS.named("perturbation_panel")
class PerturbationPanel(Panel):
    """Perturb the picture, also by perturbations of your own, and measure what that does."""

    title = "Perturbations"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._found: dict[str, Sensitivity] = {}
        self._found_for = ""
        self._names = w.SelectMultiple(
            options=list(PERTURBATIONS), description="Perturbations", rows=min(len(PERTURBATIONS), 8), style=WIDE,
            layout=w.Layout(width="330px"),
        )  # fmt: skip
        self._strength = w.FloatSlider(
            min=0,
            max=1,
            step=0.05,
            description="Strength",
            continuous_update=False,
            style=WIDE,
            layout=w.Layout(width="360px"),
        )
        self._seed = w.BoundedIntText(min=0, max=10**9, description="Seed", style=WIDE, layout=w.Layout(width="230px"))
        self._measure = w.Button(description="Measure", icon="balance-scale", button_style="primary")
        self._help = w.HTML(
            hint(
                "Ctrl-click to choose several. ΔW: how far attention's word–region links move. "
                "Δp: change of the answer's probability. Distance: how far the pixels moved, 0 to 1."
            )
        )
        self._cards = w.HTML()
        controls = w.VBox([self._strength, self._seed, self._measure])
        row = w.HBox([self._names, controls], layout=w.Layout(flex_flow="row wrap"))
        self.widget = self.framed(row, self.busy.widget, self._help, self._cards)
        self._quiet = False
        self._show()
        for control in (self._names, self._strength, self._seed):
            control.observe(self._changed, "value")
        self._measure.on_click(lambda _: self.measure())
        session.on("input", self._show)

    def begin(self) -> None:
        self.measure()

    def measure(self, *, wait: bool | None = None) -> None:
        """Measure the chosen perturbations."""
        self._found, self._found_for = {}, self._depends()
        loop = _loop()

        def each(one: Sensitivity) -> None:
            if loop is None or wait:
                self._arrived(one)
            else:
                loop.call_soon_threadsafe(self._arrived, one)

        self.busy.start(lambda told: self.session.perturbations(each, told, wait=wait), "Measuring", self._all_arrived)

    def static(self) -> dict[str, str]:
        return {"text/html": self._html()}

    def _all_arrived(self, found: list[Sensitivity]) -> None:
        for one in found:
            self._arrived(one)

    def _arrived(self, one: Sensitivity) -> None:
        if self._found_for == self._depends():
            self._found[one.perturbed.name] = one
            self._draw()

    def _depends(self) -> str:
        """The key of the choices that a measurement depends on."""
        explained = self.session.state.explained()
        return key({k: v for k, v in explained.items() if k not in ("perturbations", "estimator", "masks", "removal")})

    def _changed(self, _: Any) -> None:
        if not self._quiet:
            self.choose(perturbations=list(self._names.value), strength=self._strength.value, seed=self._seed.value)

    def _show(self) -> None:
        state = self.session.state
        self._quiet = True
        try:
            self._names.options = list(PERTURBATIONS)
            self._names.value = [name for name in state.perturbations if name in PERTURBATIONS]
            self._strength.value, self._seed.value = state.strength, state.seed
        finally:
            self._quiet = False
        if self._found_for != self._depends():
            self._found = {}
        self._draw()

    def _draw(self) -> None:
        self._cards.value = self._html()

    def _html(self) -> str:
        state = self.session.state
        try:
            # Previews are made of a small copy, so that the slider stays quick; distances are of the picture itself.
            small = thumbnail(self.session.picture(), 2 * SIDE)
            cards = [_card("original", small, None)]
            for name in state.perturbations:
                one = self._found.get(name)
                preview = perturb(small, name, state.strength, state.seed).image if one is None else one.perturbed.image
                cards.append(_card(name, preview, one))
        except StcgError as error:
            return warning(error)
        return fill("cards", cards=cards, side=SIDE)


def _card(name: str, image: np.ndarray, found: Sensitivity | None) -> dict[str, Any]:
    """What the template shows of one picture ``[height, width, 3]``."""
    description = PERTURBATIONS[name].description if name in PERTURBATIONS else ""
    return {"name": name, "description": description, "picture": jpeg(image, SIDE), "found": found}


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
