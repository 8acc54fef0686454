"""Two explanations side by side, and the graph of their difference.

Any two explanations of the session can be chosen. They may differ in picture, question, model or options. A perturbed copy of the
picture is explained on demand.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as w

from stcg_nb.graph.difference import Difference, difference
from stcg_nb.graph.selection import node_labels
from stcg_nb.inputs.open_image import unperturbed
from stcg_nb.inputs.perturbations import PERTURBATIONS
from stcg_nb.widgets.canvas import Canvas, CopyText
from stcg_nb.widgets.code import comparison
from stcg_nb.widgets.markup import hint, table, text
from stcg_nb.widgets.panel import LABELS, PANELS, WIDE, Panel, section
from stcg_nb.widgets.results import Explanation
from stcg_nb.widgets.session import Session

ROWS = 12
THIRD = w.Layout(flex="1 1 330px", min_width="300px")
HINT = hint(
    "Nothing to compare yet: change the picture, the question, the model or the estimator above and explain again, or explain a "
    "perturbed copy of the picture."
)


@PANELS.named("compare")
class Compare(Panel):
    """Two explanations side by side, and their difference."""

    title = "Compare"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._found: tuple[tuple[int, int], Difference] | None = None
        self._quiet = False
        wide = w.Layout(width="640px")
        self._first = w.Dropdown(options=[("none", "")], description="First", style=WIDE, layout=wide)
        self._second = w.Dropdown(options=[("none", "")], description="Second", style=WIDE, layout=wide)
        self._kind = w.Dropdown(
            options=[(label, kind) for label, kind in LABELS.items() if kind != "interaction"],
            description="Links",
            style=WIDE,
            layout=w.Layout(width="400px"),
        )
        self._name = w.Dropdown(
            options=list(PERTURBATIONS), description="Perturbed by", style=WIDE, layout=w.Layout(width="300px")
        )
        self._explain = w.Button(
            description="Explain the perturbed picture", icon="play", layout=w.Layout(width="240px")
        )
        self._left, self._right, self._middle = (Canvas(layout=THIRD) for _ in range(3))
        self._heads = [w.HTML(layout=w.Layout(min_height="58px")) for _ in range(3)]
        self._table = w.HTML(HINT)
        self._show_code = w.ToggleButton(description="Show code", icon="code", layout=w.Layout(width="148px"))
        self._code = CopyText()
        self._shown = section("Python that makes the same", self._code)
        columns = [
            w.VBox([head, canvas], layout=THIRD)
            for head, canvas in zip(self._heads, (self._left, self._right, self._middle), strict=True)
        ]
        self._pictures = w.HBox(columns, layout=w.Layout(flex_flow="row wrap"))
        self.widget = self.framed(
            self._first,
            self._second,
            self._kind,
            w.HBox([self._name, self._explain]),
            self.busy.widget,
            self._pictures,
            self._table,
            self._show_code,
            self._shown,
        )
        for control in (self._first, self._second, self._kind):
            control.observe(lambda _: self._draw(), "value")
        self._show_code.observe(lambda _: self._draw(), "value")
        self._explain.on_click(lambda _: self.explain_perturbed())
        session.on("explained", self._offer)
        self._offer()

    def explain_perturbed(self, *, wait: bool | None = None) -> None:
        """Explain a perturbed copy of the chosen picture; the choices stay as they are."""
        chosen = self.session.state
        source = f"perturbed:{self._name.value}:{chosen.strength:g}:{chosen.seed}:{unperturbed(chosen.image)}"
        state = chosen.but(image=source)
        self.busy.start(
            lambda told: self.session.explain(told, state=state, wait=wait), "Explaining", lambda _: self._offer()
        )

    def static(self) -> dict[str, str]:
        return {"text/html": self._table.value}

    @property
    def difference(self) -> Difference | None:
        """What is compared."""
        pair = self._pair()
        if pair is None:
            return None
        key = (id(pair[0]), id(pair[1]))
        if self._found is None or self._found[0] != key:
            self._found = (key, difference(pair[0].stcg, pair[1].stcg))
        return self._found[1]

    def _pair(self) -> tuple[Explanation, Explanation] | None:
        there = self.session.explanations
        first, second = there.get(self._first.value), there.get(self._second.value)
        return None if first is None or second is None or first is second else (first, second)

    def _offer(self) -> None:
        """Offer every explanation; a new one is compared with the one that was second so far."""
        there = self.session.explanations
        keys, before = list(there), self._second.value
        options = [(f"{i}. {e.label}", key) for i, (key, e) in enumerate(there.items(), 1)] or [("none", "")]
        first = self._first.value
        if len(keys) > 1 and keys[-1] != before:
            first, before = (before if before in keys else keys[-2]), keys[-1]
        self._quiet = True
        for control, value in ((self._first, first), (self._second, before)):
            control.options = options
            control.value = value if value in keys else options[-1][1]
        self._quiet = False
        self._draw()

    def _draw(self) -> None:
        if self._quiet:
            return
        pair, found = self._pair(), self.difference
        self._pictures.layout.display = self._show_code.layout.display = "none" if pair is None else None
        opened = pair is not None and self._show_code.value
        self._shown.layout.display = None if opened else "none"
        self._show_code.description = "Hide code" if opened else "Show code"
        if pair is None or found is None:
            self._table.value = HINT
            return
        view = self.session.state.but(links=self._kind.value, picked=None, step=None).view()
        for canvas, one in zip((self._left, self._right), pair, strict=True):
            canvas.svg = one.drawing.svg(view)
        self._middle.svg = pair[0].drawing.changes(found, self._kind.value, view.top)
        for head, said in zip(
            self._heads, (pair[0].label, pair[1].label, "What differs: second less first"), strict=True
        ):
            head.value = f"<b style='font-size:12px'>{text(said)}</b>"
        self._table.value = self._html(found)
        self._code.text = comparison(pair[0].state, pair[1].state, self._kind.value, view.top)

    def _html(self, found: Difference) -> str:
        labels = node_labels(found.first)
        rows = []
        for c in found.of_kind(self._kind.value)[:ROWS]:
            ends = " → ".join(f"{n.split(':')[0].replace('step', 'token')} {labels[n]}" for n in (c.source, c.target))
            rows.append(
                (
                    ends,
                    f"{c.before:+.2f}",
                    f"{c.after:+.2f}",
                    f"{c.change:+.2f}",
                    "sure" if c.sure else "within ranges",
                )
            )
        counts = (
            f"{len(found.matched)} nodes matched, {len(found.only_first)} only in the first, "
            f"{len(found.only_second)} only in the second."
        )
        said = f"“{found.first.answer}” (p {_p(found.first)}) against “{found.second.answer}” (p {_p(found.second)}). "
        return f"<div>{text(said)}{text(counts)}</div>{table(('link', 'first', 'second', 'change', ''), rows)}"


def _p(stcg: Any) -> str:
    return f"{float(stcg.data.attrs['p_answer']):.2f}"
