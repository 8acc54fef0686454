"""Save the graph as files, and show the code, the command and the choices (as JSON) that make it again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as w

from stcg_nb.errors import InputError, StcgError
from stcg_nb.files import write
from stcg_nb.viz.figure_files import draw
from stcg_nb.viz.figures.graph import graph_figure
from stcg_nb.viz.report import write_html
from stcg_nb.widgets.canvas import CopyText
from stcg_nb.widgets.code import code, command
from stcg_nb.widgets.markup import table, text
from stcg_nb.widgets.panel import PANELS, WIDE, Panel, section, shown
from stcg_nb.widgets.panels.explore import Explorer
from stcg_nb.widgets.session import Session
from stcg_nb.widgets.state import State

FORMATS = ("PNG", "SVG", "HTML", "GraphML", "JSON")
FOLDER = "stcg-results"


@PANELS.named("save_panel")
class SavePanel(Panel):
    """Save files, and show the code that makes them again."""

    title = "Save and reproduce"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._explorer = shown(session, Explorer)
        self._boxes = [
            w.Checkbox(True, description=name, indent=False, layout=w.Layout(width="95px")) for name in FORMATS
        ]
        self._folder = w.Text(FOLDER, description="Folder", style=WIDE, layout=w.Layout(width="420px"))
        self._save = w.Button(description="Save", icon="save", button_style="primary")
        self._saved = w.HTML()
        self._show_code = w.ToggleButton(description="Show code", icon="code")
        self._code, self._command, self._json = CopyText(), CopyText(), CopyText()
        self._load_text = w.Textarea(
            placeholder="Paste a saved state here, and press Load state", layout=w.Layout(width="600px", height="90px")
        )
        self._load = w.Button(description="Load state", icon="upload")
        self._shown = w.VBox(
            [
                section("Python that makes the same", self._code),
                section("The same on the command line, by papermill", self._command),
                section("The choices as JSON (state.json)", self._json),
                section("Load choices", self._load_text, self._load),
            ],
            layout=w.Layout(display="none"),
        )
        self.widget = self.framed(
            w.HBox([*self._boxes]),
            w.HBox([self._folder, self._save]),
            self.busy.widget,
            self._saved,
            self._show_code,
            self._shown,
        )
        self._show()
        self._show_code.observe(self._toggled, "value")
        self._save.on_click(lambda _: self.save())
        self._load.on_click(lambda _: self.load(self._load_text.value))
        session.on("state", self._show)

    def save(self, folder: str | None = None, *, wait: bool | None = None) -> None:
        """Write the chosen files, and the state, to a folder; the one in the panel if left out."""
        if folder is not None:
            self._folder.value = folder
        explanation = self._explorer.explanation
        stcg = self._explorer.graph
        if explanation is None or stcg is None:
            self.busy.say("What is chosen is not explained yet; press Explain first.", error=True)
            return
        chosen = [name for name, box in zip(FORMATS, self._boxes, strict=True) if box.value]
        target, drawn, state = Path(self._folder.value.strip() or FOLDER), self._explorer.svg(), self.session.state
        view = state.view()

        def work() -> list[Path]:
            try:
                target.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"The folder {str(target)!r} cannot be made ({error.strerror}); choose another."
                ) from None
            written = [write(target / "state.json", state.to_json().encode())]
            if "PNG" in chosen:
                figure = graph_figure(
                    stcg, links=view.links, top=view.top, step=view.step, min_effect=view.min_effect, node=view.node
                )
                written.append(write(target / "graph.png", draw(figure, "png")))
            if "SVG" in chosen:
                written.append(write(target / "graph.svg", drawn.encode()))
            for name, file, save in (
                ("HTML", "stcg.html", partial(write_html, stcg)), ("GraphML", "graph.graphml", stcg.to_graphml),
                ("JSON", "stcg.json", stcg.to_json),
            ):  # fmt: skip
                if name in chosen:
                    written.append(save(target / file))
            return written

        def done(written: list[Path]) -> None:
            rows = [(str(path), f"{path.stat().st_size / 1000:,.0f} kB") for path in written]
            self._saved.value = table(("saved", "size"), rows)

        self._saved.value = ""
        self.busy.start(lambda told: self.session.worker.run("save", work, told, wait=wait), "Saving", done)

    def load(self, content: str) -> None:
        """Replace the choices by saved ones."""
        try:
            state = State.from_json(content)
        except StcgError as error:
            self.busy.say(str(error), error=True)
            return
        self.session.restore(state)
        self.busy.say("The choices are loaded; press Explain to see them.")

    def static(self) -> dict[str, str]:
        return {
            "text/html": f"<pre>{text(code(self.session.state))}</pre><pre>{text(command(self.session.state))}</pre>"
        }

    def _toggled(self, change: Any) -> None:
        self._shown.layout.display = None if change["new"] else "none"
        self._show_code.description = "Hide code" if change["new"] else "Show code"

    def _show(self) -> None:
        state = self.session.state
        self._code.text, self._command.text, self._json.text = code(state), command(state), state.to_json()
