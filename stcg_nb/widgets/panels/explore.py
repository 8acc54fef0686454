"""Explore the graph of one answer: the linked view of words, regions and tokens, with everything that can be asked of it.

The picture follows the state: whatever changes it (a control, a click, a key) goes through `Session.choose`, and the picture is
drawn anew from what is there. Only a change of what an explanation depends on asks for work, and only when `Explain` is pressed.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as w
import xarray as xr

from stcg_nb.attention.heads import of_head, sites_of
from stcg_nb.attention.knockout import Cut, can_cut
from stcg_nb.errors import StcgError
from stcg_nb.graph.selection import View, choose, ends, node_labels
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.summary import summary
from stcg_nb.options import choices
from stcg_nb.viz.figures.graph import caption
from stcg_nb.viz.graph_svg import Drawing
from stcg_nb.widgets.canvas import Canvas
from stcg_nb.widgets.details import details, link_choices, node_choices
from stcg_nb.widgets.panel import LABELS, WIDE, Panel, section, table, text
from stcg_nb.widgets.session import Explanation, Session, written

HALF = w.Layout(width="195px")
LINE = w.Layout(width="400px")
ALL_SITES = ("all, by the estimator", "")
EMPTY = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 300"><rect width="700" height="300" fill="white"/>'
    '<text x="350" y="150" text-anchor="middle" font-size="17" fill="#555" font-family="sans-serif">'
    "Press Explain to see what the answer rests on.</text></svg>"
)


class Explorer(Panel):
    """The graph of the answer."""

    title = "4 · Explore the graph"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._shown: Explanation | None = None
        self._heads: xr.Dataset | None = None
        self._drawing: tuple[Any, Drawing] | None = None
        self._cut: tuple[tuple[str, ...], Cut] | None = None
        self._quiet = False
        self._make_controls()
        self.widget = self._arrange()
        self._listen()
        self._refresh()

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
        """Cut a link, and see what the answer becomes; a link that is cut already comes back."""
        cuts = self.session.state.cuts
        left = [c for c in cuts if c != name] if name in cuts else [*cuts, name]
        self.session.choose(cuts=left)
        self._measure_cuts(wait)

    def _restored(self) -> None:
        self._choose(cuts=[])
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

    def svg(self) -> str:
        """The picture as it is shown."""
        shown = self._shown
        if shown is None:
            return EMPTY
        state = self.session.state
        view, picked = self._view(shown)
        return self._draw_of(shown).svg(view, picked, state.cuts, state.boxes if self._pen.value else ())

    def static(self) -> dict[str, str]:
        return {"text/html": self._summary.value} if self._shown is None else {"image/svg+xml": self.svg()}

    def _view(self, shown: Explanation) -> tuple[View, str | None]:
        """The chosen view, without what the shown graph does not have: the choices may have moved on since."""
        state, stcg = self.session.state, shown.stcg
        known = node_labels(stcg)
        picked = state.picked if state.picked and all(end in known for end in ends(state.picked)) else None
        step = state.step if state.step is None or state.step < len(stcg.steps) else None
        links = "counterfactual" if state.links == "interaction" and not stcg.data.sizes["link"] else state.links
        return state.but(picked=picked, step=step, links=links).view(), picked

    def _draw_of(self, shown: Explanation) -> Drawing:
        state = self.session.state
        heads = self._heads if state.site is not None else None
        if heads is None or heads.attrs["site"] != state.site or heads.sizes["region"] != len(shown.stcg.regions):
            return shown.drawing
        key = (id(shown), id(heads), state.layer, state.head)
        if self._drawing is None or self._drawing[0] != key:
            self._drawing = (key, Drawing(of_head(shown.stcg, heads, state.layer, state.head)))
        return self._drawing[1]

    def _refresh(self) -> None:
        """Show everything anew from the state and from what is there."""
        if (current := self.session.current) is not None and current is not self._shown:
            self._shown, self._heads, self._cut = current, None, None
        shown, state = self._shown, self.session.state
        self._quiet = True
        try:
            self._fill_choices()
            self._read_state()
            with self._canvas.hold_sync():
                self._canvas.drawing = self._pen.value
                self._canvas.svg = self.svg()
        except StcgError as error:
            self.busy.say(str(error), error=True)
        finally:
            self._quiet = False
        stale = shown is not None and (shown.state.linked(), shown.written) != (state.linked(), written(state.image))
        if stale or shown is None or self.session.current is not None:
            said = "The choices have changed since; press Explain to see them." if stale else ""
        else:
            said = "The graph holds; press Explain to have the chosen perturbations measured in it too."
        self._stale.value = f"<span role='status' style='color:#a33a00'>{said}</span>" if said else ""
        if shown is None:
            self._summary.value = "<span style='color:#555'>Nothing is explained yet.</span>"
            self._details.value = self._cut_result.value = self._caption.value = ""
            return
        self._summary.value = text(summary(shown.stcg))
        view, picked = self._view(shown)
        note = caption(shown.stcg, view, choose(shown.stcg, view))
        self._caption.value = f"<div style='color:#555;font-size:12px;line-height:1.4'>{text(note)}</div>"
        self._details.value = details(self._draw_of(shown).stcg, view, picked)
        self._cut_button.disabled = not can_cut(picked) or stale
        self._cut_button.description = "Restore link" if picked in state.cuts else "Cut link"
        self._restore.disabled = not state.cuts
        self._cut_result.value = self._cut_html()

    def _cut_html(self) -> str:
        cuts = self.session.state.cuts
        if not cuts:
            picked = self.session.state.picked
            said = (
                "Choose a link by its dot or in the list, then cut it."
                if picked is None or ">" not in picked or can_cut(picked)
                else "No attention carries this link; those between a word or region and a token can be cut."
            )
            return f"<span style='color:#555;font-size:12px'>{said}</span>"
        if self._cut is None or self._cut[0] != cuts:
            return f"{len(cuts)} cut"
        found = self._cut[1]
        rows = [
            (token, f"{a:.2f}", f"{b:.2f}", f"{e:+.2f}")
            for token, a, b, e in zip(found.answer.tokens, found.p_before, found.p_after, found.effect, strict=True)
        ]
        said = (
            f"The model now says <b>{text(found.new_answer.text)}</b>."
            if found.flipped
            else "The answer stays the same."
        )
        region = any(name.startswith("region:") for name in cuts)
        note = " A cut region is out of sight for every token." if region else ""
        return f"{said}{note}{table(('token', 'p before', 'p after', 'lost (nats)'), rows)}"

    # Controls

    def _make_controls(self) -> None:
        slider: dict[str, Any] = {"style": WIDE, "layout": LINE}
        self._canvas, self._caption = Canvas(picked=self._picked, boxed=self._boxed), w.HTML()
        self._estimator = w.Dropdown(options=choices("estimator"), description="Alignment by", **slider)
        self._regions = w.Combobox(
            options=["slic", "slic:16", "slic:30", "grid:4x6", "grid:8x8"], description="Regions", continuous_update=False,
            placeholder="slic, slic:30, grid:8x8", **slider,
        )  # fmt: skip
        self._masks = w.BoundedIntText(min=0, max=100_000, step=8, description="Masks", **slider)
        self._explain = w.Button(description="Explain", icon="play", button_style="primary")
        self._links = w.Dropdown(options=list(LABELS.items()), description="Links", **slider)
        self._step = w.SelectionSlider(options=[("all", -1)], description="Token", **slider)
        self._play = w.Play(min=0, max=0, interval=900)
        self._top = w.IntSlider(min=1, max=100, description="Strongest links", **slider)
        self._beyond = w.FloatSlider(
            min=0, max=5, step=0.1, description="Beyond (nats)", readout_format=".1f", **slider
        )
        self._node = w.Dropdown(options=[("none", "")], description="Node", **slider)
        self._link = w.Dropdown(options=[("none", "")], description="Link", **slider)
        self._site = w.Dropdown(options=[ALL_SITES], description="Attention at", **slider)
        self._layer = w.Dropdown(options=[("mean", -1)], description="Layer", style=WIDE, layout=HALF)
        self._head = w.Dropdown(
            options=[("mean", -1)], description="Head", style={"description_width": "60px"}, layout=HALF
        )
        self._pen = w.ToggleButton(description="Draw regions", icon="pencil", tooltip="Drag boxes over the picture")
        self._clear = w.Button(description="Clear", tooltip="Remove the drawn regions")
        self._boxes = w.Text(
            description="Boxes", placeholder="x0 y0 x1 y1; … in pixels", continuous_update=False, **slider
        )
        self._cut_button = w.Button(description="Cut link", icon="cut", disabled=True)
        self._restore = w.Button(description="Restore all", disabled=True)
        self._summary, self._details, self._stale, self._cut_result = w.HTML(), w.HTML(), w.HTML(), w.HTML()

    def _arrange(self) -> w.VBox:
        self._attention = w.VBox([self._site, w.HBox([self._layer, self._head])])
        side = w.VBox(
            [
                section(
                    "What to explain",
                    self._estimator,
                    self._regions,
                    self._masks,
                    self._explain,
                    self.busy.widget,
                    self._stale,
                ),
                section(
                    "What to see",
                    self._links,
                    w.HBox([self._step]),
                    self._play,
                    self._top,
                    self._beyond,
                    self._attention,
                ),
                section("What stands out: click, or choose here", self._node, self._link, self._details),
                section("Cut", w.HBox([self._cut_button, self._restore]), self._cut_result),
                section("Regions of your own", w.HBox([self._pen, self._clear]), self._boxes),
            ],
            layout=w.Layout(flex="0 0 425px"),
        )
        picture = w.VBox([self._canvas, self._caption], layout=w.Layout(flex="1 1 560px", min_width="360px"))
        body = w.HBox([picture, side], layout=w.Layout(flex_flow="row wrap", align_items="flex-start"))
        return self.framed(self._summary, body)

    def _listen(self) -> None:
        session = self.session
        chosen = {
            self._estimator: "estimator", self._regions: "regions", self._masks: "masks", self._links: "links", self._top: "top",
            self._beyond: "beyond",
        }  # fmt: skip
        for control, name in chosen.items():
            control.observe(lambda change, name=name: self._choose(**{name: change["new"]}), "value")
        for control, name in ((self._step, "step"), (self._layer, "layer"), (self._head, "head")):
            control.observe(lambda change, name=name: self._choose(**{name: _some(change["new"])}), "value")
        self._play.observe(lambda change: self._choose(step=_some(change["new"] - 1)), "value")
        self._node.observe(lambda change: self._choose(picked=change["new"] or None), "value")
        self._link.observe(lambda change: self._choose(picked=change["new"] or None), "value")
        self._site.observe(self._site_chosen, "value")
        self._boxes.observe(self._boxes_typed, "value")
        self._pen.observe(lambda _: self._refresh(), "value")
        self._clear.on_click(lambda _: self._choose(boxes=[]))
        self._explain.on_click(lambda _: self.explain())
        self._cut_button.on_click(lambda _: self.cut(str(session.state.picked)))
        self._restore.on_click(lambda _: self._restored())
        session.on("state", self._refresh)
        session.on("explained", self._refresh)

    def _choose(self, **changes: Any) -> None:
        if self._quiet:
            return
        try:
            self.session.choose(**changes)
        except StcgError as error:
            self.busy.say(str(error), error=True)

    def _site_chosen(self, change: Any) -> None:
        if self._quiet:
            return
        self._choose(site=change["new"] or None, layer=None, head=None)
        if change["new"]:
            self._measure_heads()

    def _picked(self, name: str) -> None:
        same = name == self.session.state.picked
        self._choose(picked=None if same or not name else name)

    def _boxed(self, box: tuple[float, float, float, float]) -> None:
        """A box drawn on the canvas, in the drawing's pixels."""
        if self._shown is None:
            return
        x, y, width, height = self._shown.drawing.picture_box
        rows, cols = self._shown.stcg.image.shape[:2]
        x0, x1 = (round(min(max((v - x) / width, 0), 1) * cols) for v in (box[0], box[2]))
        y0, y1 = (round(min(max((v - y) / height, 0), 1) * rows) for v in (box[1], box[3]))
        if x1 - x0 < 3 or y1 - y0 < 3:
            self.busy.say("That box is too small; drag from one corner to the other.")
            return
        self.busy.say("")
        self._choose(boxes=[*map(list, self.session.state.boxes), [x0, y0, x1, y1]])

    def _boxes_typed(self, change: Any) -> None:
        if self._quiet:
            return
        try:
            boxes = [
                [int(v) for v in part.replace(",", " ").split()] for part in change["new"].split(";") if part.strip()
            ]
        except ValueError:
            self.busy.say("Give boxes as four whole numbers each, x0 y0 x1 y1, with ; between boxes.", error=True)
            return
        self._choose(boxes=boxes)

    def _fill_choices(self) -> None:
        """Offer what the shown graph has."""
        if self._shown is None:
            return
        stcg = self._draw_of(self._shown).stcg
        kinds = [label for label, kind in LABELS.items() if kind != "interaction" or stcg.data.sizes["link"]]
        _options(self._links, [(label, LABELS[label]) for label in kinds])
        _options(self._step, [("all", -1), *((f"{t + 1} {token}", t) for t, token in enumerate(stcg.steps))])
        self._play.max = len(stcg.steps)
        _options(self._node, [("none", ""), *node_choices(stcg)])
        view, _ = self._view_of_links()
        _options(self._link, [("none", ""), *link_choices(stcg, view)])
        model = self.session.model
        sites = sites_of(model) if model is not None else ()
        _options(self._site, [ALL_SITES, *((site, site) for site in sites)])
        for control, name in ((self._layer, "layer"), (self._head, "head")):
            n = 0 if self._heads is None else self._heads.sizes[name]
            _options(control, [("mean", -1), *((str(i), i) for i in range(n))])

    def _view_of_links(self) -> tuple[View, None]:
        """The chosen links, of all nodes."""
        state = self.session.state
        step = (
            state.step if self._shown and state.step is not None and state.step < len(self._shown.stcg.steps) else None
        )
        links = state.links
        if links == "interaction" and self._shown is not None and not self._shown.stcg.data.sizes["link"]:
            links = "counterfactual"
        return View(links, state.top, step, state.beyond), None

    def _read_state(self) -> None:
        """Set the controls to the state."""
        state = self.session.state
        self._estimator.value, self._regions.value, self._masks.value = state.estimator, state.regions, state.masks
        self._regions.disabled = bool(state.boxes)
        self._top.max = max(self._top.max, state.top)
        self._beyond.max = max(self._beyond.max, state.beyond)
        self._top.value, self._beyond.value = state.top, state.beyond
        self._boxes.value = "; ".join(" ".join(str(v) for v in box) for box in state.boxes)
        chosen = (
            (self._links, state.links), (self._step, state.step), (self._node, state.picked), (self._link, state.picked),
            (self._site, state.site), (self._layer, state.layer), (self._head, state.head),
        )  # fmt: skip
        for control, value in chosen:
            values = [v for _, v in control.options]
            control.value = value if value in values else values[0]
        self._play.value = self._step.index if self._step.index is not None else 0
        self._attention.layout.display = None if state.links == "alignment" else "none"


def _some(number: int) -> int | None:
    """None for what a control calls -1: selections of ipywidgets cannot hold None."""
    return None if number < 0 else number


def _options(control: Any, options: list[tuple[str, Any]]) -> None:
    """Set a selection's options only when they change: setting them resets it, in the browser too."""
    if list(control.options) != options:
        control.options = options
