"""Explore the graph of one answer: words, regions and tokens in one picture, and everything that can be asked of it.

The picture follows the state: whatever changes it (a control, a click, a key) goes through `Session.choose`, and the picture is
drawn again. Only a change of what an explanation depends on needs work, and only `Explain` starts it.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as w
import xarray as xr

from stcg_nb.attention.heads import of_head, sites_of
from stcg_nb.attention.knockout import Cut, can_cut
from stcg_nb.errors import InputError, StcgError
from stcg_nb.graph.selection import choose, ends, node_labels
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.summary import summary
from stcg_nb.graph.trust import trust_said
from stcg_nb.viz.figures.graph import caption
from stcg_nb.viz.graph_svg import Drawing
from stcg_nb.widgets.canvas import Canvas
from stcg_nb.widgets.details import cut_details, details
from stcg_nb.widgets.explorer_controls import ExplorerControls, read_boxes
from stcg_nb.widgets.markup import hint, text, warning
from stcg_nb.widgets.panel import PANELS, Panel
from stcg_nb.widgets.results import Explanation, key
from stcg_nb.widgets.session import Session
from stcg_nb.widgets.state import State

SMALLEST = 3  # pixels of a drawn region's side
EMPTY = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 300"><rect width="700" height="300" fill="white"/>'
    '<text x="350" y="150" text-anchor="middle" font-size="17" fill="#555" font-family="sans-serif">'
    "Press Explain to see what the answer rests on.</text></svg>"
)


@PANELS.named("explorer")
class Explorer(Panel):
    """Explain the answer and explore its graph."""

    title = "Explore the graph"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._shown: Explanation | None = None
        self._heads: xr.Dataset | None = None
        self._drawing: tuple[Any, Drawing] | None = None
        self._cut: tuple[tuple[str, ...], Cut] | None = None
        self._canvas = Canvas(picked=self._picked, boxed=self._boxed)
        self._summary, self._caption, self._details, self._stale, self._cut_result = (w.HTML() for _ in range(5))
        self.controls = ExplorerControls(self.busy.widget, self._stale, self._details, self._cut_result)
        picture = w.VBox([self._canvas, self._caption], layout=w.Layout(flex="1 1 560px", min_width="360px"))
        body = w.HBox([picture, self.controls.side], layout=w.Layout(flex_flow="row wrap", align_items="flex-start"))
        self.widget = self.framed(self._summary, body)
        self._listen()
        self._refresh()

    def begin(self) -> None:
        self.explain()

    # Work

    def explain(self, *, wait: bool | None = None) -> None:
        """Explain what is chosen, unless that was done."""

        def done(_: Explanation) -> None:
            self._refresh()
            if self.session.state.cuts:
                self._measure_cuts(wait)
            if self.session.state.site is not None and self._heads is None:
                self._measure_heads(wait)

        self.busy.start(lambda told: self.session.explain(told, wait=wait), "Explaining", done)

    def cut(self, name: str, *, wait: bool | None = None) -> None:
        """Cut a link, and see what the answer becomes; a link that is cut already is restored."""
        cuts = self.session.state.cuts
        self.session.choose(cuts=[c for c in cuts if c != name] if name in cuts else [*cuts, name])
        self._measure_cuts(wait)

    def _restored(self) -> None:
        self.choose(cuts=[])
        self._measure_cuts()

    def _measure_cuts(self, wait: bool | None = None) -> None:
        cuts = self.session.state.cuts
        if not cuts:
            self._cut = None
            self._refresh()
            return

        def done(found: Cut) -> None:
            self._cut = (cuts, found)
            self._refresh()

        self.busy.start(lambda told: self.session.cut(told, wait=wait), "Cutting", done)

    def _measure_heads(self, wait: bool | None = None) -> None:
        def done(found: xr.Dataset) -> None:
            self._heads = found
            self._refresh()

        self.busy.start(lambda told: self.session.heads(told, wait=wait), "Reading heads", done)

    # What is shown

    @property
    def explanation(self) -> Explanation | None:
        """What is shown, if it is what is chosen."""
        return self._shown if self.session.current is not None else None

    @property
    def graph(self) -> STCG | None:
        """The graph that is shown, with the chosen head's links if one is chosen."""
        return None if self._shown is None else self._draw_of(self._shown).stcg

    @property
    def cut_found(self) -> Cut | None:
        """What the chosen cuts do, once it is measured."""
        return self._cut[1] if self._cut is not None and self._cut[0] == self.session.state.cuts else None

    def svg(self) -> str:
        """The picture as it is shown."""
        if self._shown is None:
            return EMPTY
        state, seen = self.session.state, self._seen(self._shown)
        boxes = state.boxes if self.controls.pen.value else ()
        return self._draw_of(self._shown).svg(seen.view(), seen.picked, state.cuts, boxes)

    def static(self) -> dict[str, str]:
        return {"text/html": self._summary.value} if self._shown is None else {"image/svg+xml": self.svg()}

    def _seen(self, shown: Explanation) -> State:
        """The state without what the shown graph does not have: the choices may have moved on since."""
        state, stcg = self.session.state, shown.stcg
        known = node_labels(stcg)
        return state.but(
            picked=state.picked if state.picked and all(end in known for end in ends(state.picked)) else None,
            step=state.step if state.step is None or state.step < len(stcg.steps) else None,
            links="counterfactual" if state.links == "interaction" and not stcg.data.sizes["link"] else state.links,
        )

    def _draw_of(self, shown: Explanation) -> Drawing:
        state = self.session.state
        heads = self._heads if state.site is not None else None
        if heads is None or heads.attrs["site"] != state.site or heads.sizes["region"] != len(shown.stcg.regions):
            return shown.drawing
        made_of = (id(shown), id(heads), state.layer, state.head)
        if self._drawing is None or self._drawing[0] != made_of:
            self._drawing = (made_of, Drawing(of_head(shown.stcg, heads, state.layer, state.head)))
        return self._drawing[1]

    def _refresh(self) -> None:
        """Show everything anew from the state and from what is there."""
        if (current := self.session.current) is not None and current is not self._shown:
            self._shown, self._heads, self._cut = current, None, None
        try:
            self._offer()
            self.controls.show(self.session.state)
            with self._canvas.hold_sync():
                self._canvas.drawing = self.controls.pen.value
                self._canvas.svg = self.svg()
        except StcgError as error:
            self.busy.say(str(error), error=True)
        stale = self._shown is not None and self._shown.links_key != key(self.session.state.linked())
        self._stale.value = self._stale_said(stale)
        if self._shown is None:
            self._summary.value = hint("Nothing is explained yet.")
            self._details.value = self._cut_result.value = self._caption.value = ""
        else:
            self._write(self._shown, stale)

    def _offer(self) -> None:
        if self._shown is None:
            return
        model, heads = self.session.model, self._heads
        self.controls.offer(
            self._draw_of(self._shown).stcg,
            self._seen(self._shown).but(picked=None).view(),
            () if model is None else sites_of(model),
            (0, 0) if heads is None else (heads.sizes["layer"], heads.sizes["head"]),
        )

    def _stale_said(self, stale: bool) -> str:
        if stale:
            return warning("The choices have changed since; press Explain to see them.", "status")
        if self._shown is None or self.session.current is not None:
            return ""
        return warning("The graph holds; press Explain to have the chosen perturbations measured in it too.", "status")

    def _write(self, shown: Explanation, stale: bool) -> None:
        """What is said about the graph, and what can be cut in it."""
        state, seen = self.session.state, self._seen(shown)
        view = seen.view()
        self._summary.value = text(f"{summary(shown.stcg)} {trust_said(shown.stcg)}".strip())
        self._caption.value = hint(caption(shown.stcg, view, choose(shown.stcg, view)))
        self._details.value = details(self._draw_of(shown).stcg, view, seen.picked)
        self.controls.cut.disabled = not can_cut(seen.picked) or stale
        self.controls.cut.description = "Restore link" if seen.picked in state.cuts else "Cut link"
        self.controls.restore.disabled = not state.cuts
        self._cut_result.value = cut_details(self.cut_found, state.cuts, state.picked)

    # What a person does

    def _listen(self) -> None:
        controls = self.controls
        controls.listen(self.choose)
        controls.on(controls.site, self._site_chosen)
        controls.on(controls.boxes, self._boxes_typed)
        controls.on(controls.pen, lambda _: self._refresh())
        controls.clear.on_click(lambda _: self.choose(boxes=[]))
        controls.explain.on_click(lambda _: self.explain())
        controls.cut.on_click(lambda _: self.cut(str(self.session.state.picked)))
        controls.restore.on_click(lambda _: self._restored())
        self.session.on("state", self._refresh)
        self.session.on("explained", self._refresh)

    def choose(self, **changes: Any) -> bool:
        """As every panel does; the controls show the state again where a choice is not valid."""
        valid = super().choose(**changes)
        if not valid:
            self.controls.show(self.session.state)
        return valid

    def _site_chosen(self, name: str) -> None:
        self.choose(site=name or None, layer=None, head=None)
        if name:
            self._measure_heads()

    def _picked(self, name: str) -> None:
        same = name == self.session.state.picked
        self.choose(picked=None if same or not name else name)

    def _boxed(self, box: tuple[float, float, float, float]) -> None:
        """A box drawn on the canvas, in the drawing's pixels."""
        if self._shown is None:
            return
        x, y, width, height = self._shown.drawing.picture_box
        rows, cols = self._shown.stcg.image.shape[:2]
        x0, x1 = (round(min(max((v - x) / width, 0), 1) * cols) for v in (box[0], box[2]))
        y0, y1 = (round(min(max((v - y) / height, 0), 1) * rows) for v in (box[1], box[3]))
        if x1 - x0 < SMALLEST or y1 - y0 < SMALLEST:
            self.busy.say("That box is too small; drag from one corner to the other.")
            return
        self.busy.say("")
        self.choose(boxes=[*map(list, self.session.state.boxes), [x0, y0, x1, y1]])

    def _boxes_typed(self, typed: str) -> None:
        try:
            boxes = read_boxes(typed)
        except InputError as error:  # what was typed stays, to be mended
            self.busy.say(str(error), error=True)
            return
        self.choose(boxes=boxes)
