"""Choose a model, load it while the notebook stays usable, and see its facts."""

from __future__ import annotations

from typing import Any

import ipywidgets as w

from stcg_nb.models.info import model_info
from stcg_nb.options import choices
from stcg_nb.widgets.markup import hint, size, table
from stcg_nb.widgets.panel import PANELS, WIDE, Panel
from stcg_nb.widgets.session import Session
from stcg_nb.widgets.state import State

NAMES = {"Embedded model (tiny)": "tiny", "Mock (made-up numbers)": "mock", "A checkpoint …": ""}


@PANELS.named("model_panel")
class ModelPanel(Panel):
    """Choose and load a model: the embedded one, the mock, or a checkpoint by hub id or folder."""

    title = "Model"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._kind = w.Dropdown(options=list(NAMES), description="Model", style=WIDE, layout=w.Layout(width="360px"))
        self._name = w.Text(
            description="Id or folder", placeholder="Salesforce/blip2-flan-t5-xl, or the path of a folder",
            continuous_update=False, style=WIDE, layout=w.Layout(width="480px"),
        )  # fmt: skip
        self._device = w.Combobox(
            options=["auto", "cpu", "cuda", "cuda:0", "mps"], description="Device", continuous_update=False, style=WIDE,
            layout=w.Layout(width="230px"),
        )  # fmt: skip
        self._dtype = w.Dropdown(
            options=choices("dtype", State), description="Number format", style=WIDE, layout=w.Layout(width="240px")
        )
        self._quantisation = w.Dropdown(
            options=choices("quantisation", State),
            description="Quantisation",
            style=WIDE,
            layout=w.Layout(width="230px"),
        )
        self._revision = w.Text(
            description="Revision",
            placeholder="newest",
            continuous_update=False,
            style=WIDE,
            layout=w.Layout(width="240px"),
        )
        self._load = w.Button(description="Load", icon="download", button_style="primary", tooltip="Load this model")
        self._facts = w.HTML()
        self._more = w.VBox(
            [self._name, w.HBox([self._device, self._dtype]), w.HBox([self._quantisation, self._revision])]
        )
        self.widget = self.framed(w.HBox([self._kind, self._load]), self._more, self.busy.widget, self._facts)
        self._quiet = False
        self._show()
        for control in (self._kind, self._name, self._device, self._dtype, self._quantisation, self._revision):
            control.observe(self._changed, "value")
        self._load.on_click(lambda _: self.load())
        session.on("input", self._show)
        session.on("model", self._show)

    def begin(self) -> None:
        self.load()

    def load(self) -> None:
        """Load what is chosen, unless it is loaded."""
        if not self.session.state.model.strip():
            self.busy.say("Give a hub id such as Salesforce/blip2-flan-t5-xl, or the path of a folder.", error=True)
            return
        self.busy.start(self.session.load, "Loading", lambda _: self._show())

    def static(self) -> dict[str, str]:
        return {"text/html": self._html()}

    def _changed(self, _: Any) -> None:
        if self._quiet:
            return
        name = NAMES[self._kind.value] or self._name.value.strip()
        self._more.layout.display = None if NAMES[self._kind.value] == "" else "none"
        checkpoint = NAMES[self._kind.value] == ""
        self.choose(
            model=name, device=self._device.value or "auto", dtype=self._dtype.value,
            quantisation=self._quantisation.value if checkpoint else "none",
            revision=(self._revision.value.strip() or None) if checkpoint else None,
        )  # fmt: skip

    def _show(self) -> None:
        state = self.session.state
        known = {name: label for label, name in NAMES.items() if name}
        other = state.model not in known
        self._quiet = True
        self._kind.value = known.get(state.model, "A checkpoint …")
        if other:
            self._name.value = state.model
        self._device.value, self._dtype.value = state.device, state.dtype
        self._quantisation.value, self._revision.value = state.quantisation, state.revision or ""
        self._quiet = False
        self._more.layout.display = None if other else "none"
        self._facts.value = self._html()

    def _html(self) -> str:
        model = self.session.model
        if model is None:
            name = self.session.state.model or "nothing"
            return hint(f"{name} is not loaded yet. It loads when it is needed, or now with Load.")
        f = model_info(model)
        if model.synthetic:
            return "<b style='color:#a33a00'>SYNTHETIC: the mock is no model; its numbers are made up from the question.</b>"
        rows = [
            ("loaded", f"{f.name}, weights {f.revision}"),
            ("network", f"{f.kind}, {f.parameters / 1e6:,.1f} million parameters, {size(f.weight_bytes)} of weights"),
            ("computes on", f"{f.device} in {f.dtype}"),
            ("sees", model.sees),
            ("offers", model.offers),
            ("memory", f"{size(f.memory_bytes)} {'on the device' if f.device != 'cpu' else 'of this kernel'}"),
        ]
        return table(("", ""), rows)
