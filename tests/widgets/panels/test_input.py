"""The picture and the question: all kinds of pictures, uploads, and the answer with its probabilities."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from on_screen import control, labels, said, shown
from PIL import Image

from stcg_nb import widgets
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.widgets.panels.input import UPLOADS, keep_upload


def test_the_answer_comes_with_each_tokens_probability(session):
    panel = widgets.input_panel(session)
    case = Case.read(session.picture(), session.state.question, session.model)
    for token, p in zip(case.answer.tokens, case.trace().p[0], strict=True):
        assert f"<b>{token}</b><br><small>{p:.2f}</small>" in shown(panel)
    control(panel, "Question").value = "what is blue?"
    assert session.state.question == "what is blue?" and "Not asked" in shown(panel)
    label, suggested = control(panel, "Suggestions").options[1]
    control(panel, "Suggestions").value = suggested
    assert session.state.question == control(panel, "Question").value == label == session.suggestions()[0]


def test_the_answer_of_another_model_is_not_shown(session):
    panel = widgets.input_panel(session)
    assert "probability of each token" in shown(panel)
    session.choose(model="tiny")
    assert "Not asked" in shown(panel)


def test_pictures_of_every_kind_can_be_chosen(session, tmp_path):
    panel = widgets.input_panel(session)
    control(panel, "Scene's seed").value = 8
    assert session.state.image == "scene:8"
    control(panel, "Picture").value = "a photograph"
    assert session.state.image.startswith("photo:") and "Photograph" in labels(panel) and "Path" not in labels(panel)
    control(panel, "Picture").value = "a file"
    assert session.state.image.startswith("photo:")  # until there is a path
    control(panel, "Path").value = str(tmp_path / "none.png")
    assert "There is no image" in said(panel) and session.state.image.startswith("photo:")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    control(panel, "Path").value = str(tmp_path / "a.png")
    assert session.state.image == str(tmp_path / "a.png") and not said(panel)


def upload(name: str, content: bytes, version: int):
    if version == 7:
        return {name: {"metadata": {"name": name}, "content": content}}
    return ({"name": name, "type": "image/png", "size": len(content), "content": memoryview(content)},)


@pytest.mark.parametrize("version", [7, 8])
def test_an_upload_becomes_a_file_that_code_can_read(version, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save(buffer, format="PNG")
    path = keep_upload(upload("../../<b> x.png", buffer.getvalue(), version))
    assert path.parent == UPLOADS and re.fullmatch(r"[0-9a-f]{8}-[\w.-]+\.png", path.name)
    assert np.asarray(Image.open(path)).shape == (20, 30, 3)
    assert keep_upload(upload("../../<b> x.png", buffer.getvalue(), version)) == path
    with pytest.raises(InputError, match="no image"):
        keep_upload(upload("text.png", b"hello", version))
    assert [p.name for p in UPLOADS.iterdir()] == [path.name]
    assert keep_upload({} if version == 7 else ()) is None
