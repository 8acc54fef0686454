"""What all panels share: how they are registered, how they are shown with and without somebody to click, and what they say while
they work.

A panel is a module of `stcg_nb.widgets.panels`: a subclass of `Panel`, registered in `PANELS` under the name of the function that
shows it. It shows itself as live widgets and as a static picture or table of the same (`Panel.static`), so that a notebook run by
papermill, or opened without a kernel, still says what was found.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import ipywidgets as w

from stcg_nb.errors import InputError
from stcg_nb.registry import Registry
from stcg_nb.widgets.markup import hint, text, warning
from stcg_nb.widgets.session import Session
from stcg_nb.widgets.worker import Job, someone_watches

VIEW = "application/vnd.jupyter.widget-view+json"
LABELS = {
    "what the token loses without it": "counterfactual",
    "where attention links": "alignment",
    "what works together": "interaction",
}
WIDE = {"description_width": "110px"}
QUICK = ("tiny", "mock")  # models that load and answer within seconds


class Panel:
    """One panel; a session has one of each class.

    Args:
        session: Whose it is.

    Attributes:
        title: The heading.
        widget: The live panel.
        busy: What is under way.
    """

    widget: w.Widget
    title = ""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.busy = Busy()

    def begin(self) -> None:
        """The work that begins by itself when the panel is first shown; none by default."""

    def choose(self, **changes: Any) -> bool:
        """Change the session's choices; whether they are valid. What is wrong is said in the panel."""
        try:
            self.session.choose(**changes)
        except InputError as error:
            self.busy.say(str(error), error=True)
            return False
        return True

    def static(self) -> dict[str, str]:
        """The same without widgets, by MIME type."""
        raise NotImplementedError

    def framed(self, *rows: w.Widget) -> w.VBox:
        """The rows under the panel's title; one of them holds `busy`."""
        heading = w.HTML(f"<b style='font-size:15px'>{text(self.title)}</b>")
        return w.VBox([heading, *rows], layout=w.Layout(max_width="1100px", padding="4px 0"))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if "google.colab" in sys.modules:  # Colab shows widgets from outside only when asked to
            from google.colab import output

            output.enable_custom_widget_manager()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {"text/plain": f"<{type(self).__name__}>", **self.static(), VIEW: view}


PANELS = Registry[type[Panel]]("panel")
P = TypeVar("P", bound=Panel)


def shown(session: Session, kind: type[P]) -> P:
    """A session's panel of a class, made once. Its work begins by itself, unless the model may take long to load and somebody is
    there to ask for it.
    """
    if kind not in session.panels:
        session.panels[kind] = kind(session)
        if session.state.model in QUICK or not someone_watches():
            session.panels[kind].begin()
    panel: P = session.panels[kind]
    return panel


class Busy:
    """A progress bar with a button that stops the work, and the sentence of an error."""

    def __init__(self) -> None:
        self._bar = w.FloatProgress(0, min=0, max=1, layout=w.Layout(width="220px"))
        self._what = w.HTML()
        self._cancel = w.Button(description="Cancel", icon="stop", layout=w.Layout(width="90px"))
        self._row = w.HBox([self._bar, self._cancel, self._what], layout=w.Layout(display="none"))
        self._note = w.HTML()
        self._job: Job | None = None
        self._latest, self._since = 0, 0.0
        self._running = self._counted = False
        self._cancel.on_click(lambda _: self.stop())
        self.widget = w.VBox([self._row, self._note])

    def start(
        self, run: Callable[[Callable[[Job, str, Any], None]], Job], what: str, done: Callable[[Any], None]
    ) -> None:
        """Start a job and show how it goes.

        Args:
            run: Starts it, given whom to tell.
            what: What is being done, in a word or two.
            done: Called with its result.
        """
        self._latest += 1
        this = self._latest
        self._note.value = ""
        self._bar.value, self._counted = 0, False
        self._row.layout.display = None
        self._since, self._running = time.monotonic(), True
        self._tick(this, what)

        def told(job: Job, event: str, value: Any) -> None:
            if this != self._latest:  # a later start has stopped it
                return
            if event == "progress":
                part, so_far, total = value
                self._bar.value = so_far / total if total else 0
                if total > 1:
                    self._counted = True
                    self._what.value = f"{what}: {text(part)}, {so_far:.0f} of {total:.0f}"
                return
            self._running = False
            self._row.layout.display = "none"
            if event == "done":
                done(value)
            elif event == "failed":
                self.say(value, error=True)
            else:
                self.say("Stopped.")

        self._job = run(told)

    def _tick(self, this: int, what: str) -> None:
        """Say how long it has taken, once a second, as long as there is nothing to count."""
        if this != self._latest or not self._running or self._counted:
            return
        seconds = time.monotonic() - self._since
        after = " after what else is under way" if self._job is not None and self._job.waiting else ""
        self._what.value = f"{what}{after} …" + (f" {seconds:.0f} s" if seconds >= 1 else "")
        with suppress(RuntimeError):  # without a loop the work is done at once, and nobody watches
            asyncio.get_running_loop().call_later(1, self._tick, this, what)

    def stop(self) -> None:
        """Stop what is under way."""
        if self._job is not None:
            self._job.stop()

    @property
    def running(self) -> bool:
        return self._job is not None and not self._job.ended

    def say(self, sentence: str, *, error: bool = False) -> None:
        """Show a sentence below the panel; an empty one clears it."""
        said = warning(sentence) if error else hint(sentence, "status")
        self._note.value = said if sentence else ""


def section(title: str, *rows: w.Widget) -> w.VBox:
    """Some controls under a small heading."""
    return w.VBox([w.HTML(hint(title)), *rows])
