"""Choose a picture and a question, and see the answer with the probability of each token."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import ipywidgets as w

from stcg_nb.errors import InputError, StcgError
from stcg_nb.files import write
from stcg_nb.inputs.images import read_image
from stcg_nb.inputs.open_image import PHOTOGRAPHS
from stcg_nb.viz.theme import jpeg
from stcg_nb.widgets.markup import fill, hint, text
from stcg_nb.widgets.panel import PANELS, WIDE, Panel
from stcg_nb.widgets.results import Asked, key
from stcg_nb.widgets.session import Session

UPLOADS = Path("stcg-uploads")
SIDE = 260


@PANELS.named("input_panel")
class InputPanel(Panel):
    """Choose a picture and a question; the answer with the probability of each token."""

    title = "Picture and question"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._asked: tuple[str, Asked] | None = None
        self._kind = w.Dropdown(
            options=["the demo picture", "a drawn scene", "a photograph", "a file"], description="Picture", style=WIDE,
            layout=w.Layout(width="300px"),
        )  # fmt: skip
        self._seed = w.BoundedIntText(
            7, min=0, max=10**9, description="Scene's seed", style=WIDE, layout=w.Layout(width="230px")
        )
        self._photo = w.Dropdown(
            options=list(PHOTOGRAPHS), description="Photograph", style=WIDE, layout=w.Layout(width="260px")
        )
        self._path = w.Text(
            description="Path", placeholder="path of a PNG, JPEG, WebP … file", continuous_update=False, style=WIDE,
            layout=w.Layout(width="420px"),
        )  # fmt: skip
        self._upload = w.FileUpload(accept="image/*", multiple=False, description="Upload")
        self._image = w.HTML(layout=w.Layout(min_width=f"{SIDE + 16}px"))
        self._question = w.Text(
            description="Question", continuous_update=False, style=WIDE, layout=w.Layout(width="560px"),
            placeholder="such as: What color is the car?",
        )  # fmt: skip
        self._suggest = w.Dropdown(description="Suggestions", style=WIDE, layout=w.Layout(width="560px"))
        self._ask = w.Button(description="Ask", icon="question", button_style="primary", tooltip="Ask the model")
        self._answer = w.HTML()
        self._where = w.VBox()
        rows = [self._kind, self._where, self._question, self._suggest, self._ask, self.busy.widget, self._answer]
        controls = w.VBox(rows)
        self.widget = self.framed(w.HBox([self._image, controls], layout=w.Layout(flex_flow="row wrap")))
        self._quiet = False
        self._show()
        for control in (self._kind, self._seed, self._photo, self._path, self._question):
            control.observe(self._changed, "value")
        self._suggest.observe(self._suggested, "value")
        self._upload.observe(self._uploaded, "value")
        self._ask.on_click(lambda _: self.ask())
        self._question.on_msg(self._entered)
        session.on("input", self._show)

    def begin(self) -> None:
        self.ask()

    def ask(self, *, wait: bool | None = None) -> None:
        """Ask the model."""
        asked_for = key(self.session.state.asked())

        def done(asked: Asked) -> None:
            self._asked = (asked_for, asked)
            self._answer.value = self._answer_html()

        self.busy.start(lambda told: self.session.ask(told, wait=wait), "Asking", done)

    def static(self) -> dict[str, str]:
        return {
            "text/html": f"<div>{self._image.value}<p><b>{text(self.session.state.question)}</b></p>{self._answer_html()}</div>"
        }

    def _source(self) -> str:
        kind = self._kind.value
        if kind == "the demo picture":
            return "demo"
        if kind == "a drawn scene":
            return f"scene:{self._seed.value}"
        return f"photo:{self._photo.value}" if kind == "a photograph" else self._path.value.strip()

    def _changed(self, change: Any) -> None:
        if self._quiet:
            return
        source, question = self._source(), self._question.value
        if source == "" or (change["owner"] is not self._question and source == self.session.state.image):
            self._place(self._kind.value)
            return
        changes: dict[str, Any] = {"image": source, "question": question}
        if source != self.session.state.image:
            changes["boxes"] = []
            try:
                self.session.picture(self.session.state.but(image=source))
            except StcgError as error:
                self.busy.say(str(error), error=True)
                self._place(self._kind.value)
                return
        self.busy.say("")
        self.choose(**changes)

    def _suggested(self, change: Any) -> None:
        if change["new"] and not self._quiet:
            self._question.value = change["new"]

    def _entered(self, _: Any, content: Any, buffers: Any) -> None:
        if content.get("event") == "submit":
            self.ask()

    def _uploaded(self, change: Any) -> None:
        try:
            path = keep_upload(change["new"])
        except StcgError as error:
            self.busy.say(str(error), error=True)
            return
        if path is not None:
            self._path.value = str(path)

    def _place(self, kind: str) -> None:
        """The control that fits the kind of picture."""
        fitting: dict[str, list[w.Widget]] = {
            "a drawn scene": [self._seed], "a photograph": [self._photo], "a file": [self._path, self._upload],
        }  # fmt: skip
        self._where.children = fitting.get(kind, [])

    def _show(self) -> None:
        state = self.session.state
        self._quiet = True
        try:
            self.session.picture()  # raises where there is none; no control could show its name
            kind, _, rest = state.image.partition(":")
            if state.image == "demo":
                self._kind.value = "the demo picture"
            elif kind == "scene":
                self._kind.value, self._seed.value = "a drawn scene", int(rest)
            elif kind == "photo":
                self._kind.value, self._photo.value = "a photograph", rest
            else:
                self._kind.value, self._path.value = "a file", state.image
            self._place(self._kind.value)
            self._question.value = state.question
            self._image.value = self._image_html()
            self._suggest.options = [("", ""), *((q, q) for q in self.session.suggestions())]
            self._answer.value = self._answer_html()
        except StcgError as error:
            self._image.value = ""
            self.busy.say(str(error), error=True)
        finally:
            self._quiet = False

    def _image_html(self) -> str:
        picture = self.session.picture()
        height, width = picture.shape[:2]
        return (
            f"<img src='{jpeg(picture, SIDE)}' alt='The picture' style='border:1px solid #ccc;max-width:{SIDE}px'>"
            f"<br>{hint(f'{self.session.state.image}, {width} × {height} pixels')}"
        )

    def _answer_html(self) -> str:
        if self._asked is None or self._asked[0] != key(self.session.state.asked()):
            return hint("Not asked yet.")
        asked = self._asked[1]
        return fill("answer", tokens=list(zip(asked.answer.tokens, asked.p, strict=True)), together=asked.p.prod())


def keep_upload(value: Any) -> Path | None:
    """Write an uploaded picture to a file beside the notebook, so that code can read it; None if nothing was uploaded.

    Args:
        value: Of ipywidgets' FileUpload: a tuple of dicts in version 8, a dict by name in version 7.

    Raises:
        InputError: If it is no picture.
    """
    files = list(value.items()) if isinstance(value, dict) else [(f["name"], f) for f in value]
    if not files:
        return None
    name, file = files[-1]
    content = bytes(file["content"])
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem)[:40] or "picture"
    suffix = re.sub(r"[^\w.]", "", Path(name).suffix)[:8]
    try:
        UPLOADS.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {str(UPLOADS)!r} for uploads cannot be made ({error.strerror}).") from None
    path = UPLOADS / f"{hashlib.sha256(content).hexdigest()[:8]}-{stem}{suffix}"
    there = path.exists()
    write(path, content)
    try:
        read_image(path)
    except InputError:
        if not there:
            path.unlink()
        raise InputError(
            f"{name!r} is no image that can be read; upload a PNG, JPEG, WebP, TIFF, GIF or BMP."
        ) from None
    return path
