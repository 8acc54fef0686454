"""The explorer's controls: what to explain, what to show, what is chosen, cuts, and drawn regions.

`ExplorerControls` makes them, tells what a person sets, and shows a state. It asks for no work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as w

from stcg_nb.errors import InputError
from stcg_nb.graph.selection import View
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.trust import AUTO
from stcg_nb.interventions.causal_graph import MASKS
from stcg_nb.options import choices
from stcg_nb.widgets.details import link_choices, node_choices
from stcg_nb.widgets.panel import LABELS, WIDE, section
from stcg_nb.widgets.state import State

LINE = w.Layout(width="400px")
HALF = w.Layout(width="195px")
ALL_SITES = ("all, by the estimator", "")
MEAN, ALL, NONE = ("mean", -1), ("all", -1), ("none", "")


class ExplorerControls:
    """The controls beside the picture.

    Attributes:
        explain, cut, restore, clear: Buttons.
        pen: Whether dragging over the picture draws a region.
        site, boxes: Where attention is read, and the drawn regions as text; whoever owns the controls listens to these two.
        side: All of them.
    """

    def __init__(self, busy: w.Widget, stale: w.Widget, details: w.Widget, cut_result: w.Widget) -> None:
        self._quiet = False
        groups = [
            section("What to explain", *self._options(), busy, stale),
            section("What to show", *self._views()),
            section("What is chosen: click, or choose here", *self._picks(), details),
            section("Cut", self._cuts(), cut_result),
            section("Regions of your own", *self._drawn()),
        ]
        self.side = w.VBox(groups, layout=w.Layout(flex="0 0 425px"))

    # Made

    def _options(self) -> list[w.Widget]:
        self._estimator = w.Dropdown(options=choices("estimator"), description="Alignment by", style=WIDE, layout=LINE)
        self._regions = w.Combobox(
            options=["slic", "slic:16", "slic:30", "grid:4x6", "grid:8x8"], description="Regions", continuous_update=False,
            placeholder="slic, slic:30, grid:8x8", style=WIDE, layout=LINE,
        )  # fmt: skip
        self._masks = w.Combobox(
            options=[AUTO, "0", "64", str(MASKS), "1024"], description="Masks", continuous_update=False,
            placeholder=f"{AUTO}, or a number", style=WIDE, layout=LINE,
        )  # fmt: skip
        self._removal = w.Dropdown(options=choices("removal"), description="Removal by", style=WIDE, layout=LINE)
        fills = choices("fills") or ()
        self._fills = w.SelectMultiple(
            options=fills, rows=min(len(fills), 4), description="Also filled by", style=WIDE, layout=LINE,
        )  # fmt: skip
        self.explain = w.Button(description="Explain", icon="play", button_style="primary")
        return [self._estimator, self._regions, self._masks, self._removal, self._fills, self.explain]

    def _views(self) -> list[w.Widget]:
        line: dict[str, Any] = {"style": WIDE, "layout": LINE}
        self._links = w.Dropdown(options=list(LABELS.items()), description="Links", **line)
        self._step = w.SelectionSlider(options=[ALL], description="Token", **line)
        self._play = w.Play(min=0, max=0, interval=900)
        self._top = w.IntSlider(min=1, max=100, description="Strongest links", **line)
        self._beyond = w.FloatSlider(min=0, max=5, step=0.1, description="Beyond (nats)", readout_format=".1f", **line)
        self.site = w.Dropdown(options=[ALL_SITES], description="Attention at", **line)
        self._layer = w.Dropdown(options=[MEAN], description="Layer", style=WIDE, layout=HALF)
        self._head = w.Dropdown(options=[MEAN], description="Head", style={"description_width": "60px"}, layout=HALF)
        self._attention = w.VBox([self.site, w.HBox([self._layer, self._head])])
        return [self._links, self._step, self._play, self._top, self._beyond, self._attention]

    def _picks(self) -> list[w.Widget]:
        self._node = w.Dropdown(options=[NONE], description="Node", style=WIDE, layout=LINE)
        self._link = w.Dropdown(options=[NONE], description="Link", style=WIDE, layout=LINE)
        return [self._node, self._link]

    def _cuts(self) -> w.Widget:
        self.cut = w.Button(description="Cut link", icon="cut", disabled=True)
        self.restore = w.Button(description="Restore all", disabled=True)
        return w.HBox([self.cut, self.restore])

    def _drawn(self) -> list[w.Widget]:
        self.pen = w.ToggleButton(description="Draw regions", icon="pencil", tooltip="Drag boxes over the picture")
        self.clear = w.Button(description="Clear", tooltip="Remove the drawn regions")
        self.boxes = w.Text(
            description="Boxes",
            placeholder="x0 y0 x1 y1; … in pixels",
            continuous_update=False,
            style=WIDE,
            layout=LINE,
        )
        return [w.HBox([self.pen, self.clear]), self.boxes]

    # Heard

    def on(self, control: w.Widget, heard: Callable[[Any], None]) -> None:
        """Call a function with what a person sets; it is not called for what `show` and `offer` set."""
        control.observe(lambda change: None if self._quiet else heard(change["new"]), "value")

    def listen(self, choose: Callable[..., Any]) -> None:
        """Call a function with each choice of `State` that a control changes, by keyword."""
        plain = {
            "estimator": self._estimator, "regions": self._regions, "removal": self._removal, "fills": self._fills,
            "links": self._links, "top": self._top, "min_effect": self._beyond,
        }  # fmt: skip
        for name, control in plain.items():
            self.on(control, _choosing(choose, name))
        self.on(self._masks, _choosing(choose, "masks", _number_or_text))
        for name, control in (("step", self._step), ("layer", self._layer), ("head", self._head)):
            self.on(control, _choosing(choose, name, _some))
        self.on(self._play, lambda value: choose(step=_some(value - 1)))
        for control in (self._node, self._link):
            self.on(control, lambda value: choose(picked=value or None))

    # Shown

    def offer(self, stcg: STCG, view: View, sites: Sequence[str], heads: tuple[int, int]) -> None:
        """Offer what the shown graph has.

        Args:
            stcg: The graph.
            view: Whose links can be chosen.
            sites: Where the model's attention can be read.
            heads: The number of layers and of heads at the chosen site.
        """
        with self._silently():
            kinds = [(said, kind) for said, kind in LABELS.items() if kind != "interaction" or stcg.data.sizes["link"]]
            _set_options(self._links, kinds)
            _set_options(self._step, [ALL, *((f"{t + 1} {token}", t) for t, token in enumerate(stcg.steps))])
            self._play.max = len(stcg.steps)
            _set_options(self._node, [NONE, *node_choices(stcg)])
            _set_options(self._link, [NONE, *link_choices(stcg, view)])
            _set_options(self.site, [ALL_SITES, *((site, site) for site in sites)])
            for control, n in zip((self._layer, self._head), heads, strict=True):
                _set_options(control, [MEAN, *((str(i), i) for i in range(n))])

    def show(self, state: State) -> None:
        """Set the controls to a state."""
        with self._silently():
            self._estimator.value, self._regions.value = state.estimator, state.regions
            self._masks.value, self._removal.value, self._fills.value = str(state.masks), state.removal, state.fills
            self._regions.disabled = bool(state.boxes)
            self._top.max, self._beyond.max = max(self._top.max, state.top), max(self._beyond.max, state.min_effect)
            self._top.value, self._beyond.value = state.top, state.min_effect
            self.boxes.value = "; ".join(" ".join(str(v) for v in box) for box in state.boxes)
            chosen = (
                (self._links, state.links), (self._step, state.step), (self._node, state.picked), (self._link, state.picked),
                (self.site, state.site), (self._layer, state.layer), (self._head, state.head),
            )  # fmt: skip
            for control, value in chosen:
                values = [v for _, v in control.options]
                control.value = value if value in values else values[0]
            self._play.value = self._step.index or 0
            self._attention.layout.display = None if state.links == "alignment" else "none"

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """What is set within is not told."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def read_boxes(typed: str) -> list[list[int]]:
    """Boxes from text.

    Raises:
        InputError: For what holds no whole numbers.

    >>> read_boxes("0 0 64 64; 64,0,256,64")
    [[0, 0, 64, 64], [64, 0, 256, 64]]
    """
    try:
        boxes = [[int(v) for v in part.replace(",", " ").split()] for part in typed.split(";") if part.strip()]
    except ValueError:
        boxes = [[]]
    if any(len(box) != 4 for box in boxes):
        raise InputError("Give boxes as four whole numbers each, x0 y0 x1 y1, with ; between boxes.")
    return boxes


def _choosing(
    choose: Callable[..., Any], name: str, read: Callable[[Any], Any] = lambda value: value
) -> Callable[[Any], Any]:
    """What passes a control's value on as the choice of a name."""
    return lambda value: choose(**{name: read(value)})


def _number_or_text(typed: str) -> int | str:
    """A whole number where one was typed."""
    typed = typed.strip()
    return int(typed) if typed.isdecimal() else typed


def _some(number: int) -> int | None:
    """None for what a control calls -1: selections of ipywidgets cannot hold None."""
    return None if number < 0 else number


def _set_options(control: Any, options: list[tuple[str, Any]]) -> None:
    """Set a selection's options only when they change: setting them resets it, in the browser too."""
    if list(control.options) != options:
        control.options = options
