"""What every panel does: it is found by its name, shows itself without widgets, escapes text, and says what is wrong."""

from __future__ import annotations

import pkgutil
import re
import sys
from html import unescape
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from on_screen import QUICK, canvases, control, every, labels, said, shown
from PIL import Image

from stcg_nb import widgets
from stcg_nb.options import Options
from stcg_nb.widgets.markup import table, text
from stcg_nb.widgets.panel import PANELS, VIEW, Panel

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> car?"


def test_each_panel_comes_with_something_static(session):
    assert len(PANELS) >= 6
    for name in PANELS:
        make = getattr(widgets, name)
        bundle = make(session)._repr_mimebundle_()
        assert bundle[VIEW]["model_id"] == make(session).widget.model_id
        assert bundle["image/svg+xml" if name == "explorer" else "text/html"]
    assert widgets.explorer(session)._repr_mimebundle_()["image/svg+xml"].startswith("<svg")


def test_the_mock_is_labelled(session):
    assert "SYNTHETIC" in widgets.model_panel(session)._repr_mimebundle_()["text/html"]
    assert "SYNTHETIC" in canvases(widgets.explorer(session))[0].svg


def test_colab_is_asked_to_show_widgets_from_outside(session, monkeypatch):
    asked = []
    output = SimpleNamespace(enable_custom_widget_manager=lambda: asked.append(1))
    package = ModuleType("google.colab")
    package.output = output  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    widgets.save_panel(session)._repr_mimebundle_()
    assert asked == [1]


def test_no_widget_is_too_new_for_colab():
    """ipywidgets 7.7 lacks these."""
    sources = "".join(path.read_text() for path in Path(widgets.__file__).parent.rglob("*.py"))
    assert not re.search(r"w\.(TagsInput|ColorsInput|Stack|DatetimePicker|TimePicker|NaiveDatetimePicker)\b", sources)
    assert not re.search(r"w\.(Dropdown|Combobox|Text|IntSlider|FloatSlider|SelectionSlider)\([^)]*tooltip=", sources)


def test_text_from_outside_is_escaped_everywhere(tmp_path, monkeypatch):
    folder = tmp_path / "<img src=x onerror=alert(3)>"
    folder.mkdir()
    picture = folder / "<b>.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(picture)
    session = widgets.start(**{**QUICK, "image": str(picture), "question": HOSTILE})
    panels = [
        widgets.model_panel(session), widgets.input_panel(session), widgets.perturbation_panel(session),
        widgets.explorer(session), widgets.compare(session), widgets.save_panel(session),
    ]  # fmt: skip
    panels[-2].explain_perturbed()
    monkeypatch.setattr("stcg_nb.widgets.panels.save.draw", lambda figure, kind: b"\x89PNG")
    panels[-1].save(str(folder))
    session.choose(model=f"<b>{HOSTILE}")
    panels[0].load()
    texts = [w.value for panel in panels for w in every(panel.widget) if isinstance(w, ipywidgets.HTML)]
    texts += [str(value) for panel in panels for kind, value in panel._repr_mimebundle_().items() if kind != VIEW]
    assert any("&lt;script&gt;" in part for part in texts)
    assert any("&lt;img src=x" in part and "state.json" in part for part in texts)  # the table of saved files
    assert not [part[:200] for part in texts if "<script" in part or "<img src=x" in part or "<b>.png" in part]


def test_bad_input_is_a_sentence_in_the_panel(session, tmp_path):
    model, entered, explorer = widgets.model_panel(session), widgets.input_panel(session), widgets.explorer(session)
    control(entered, "Question").value = "   "
    entered.ask()
    assert "The question is empty" in said(entered)
    explorer.explain()
    assert "The question is empty" in said(explorer)
    control(model, "Model").value = "A checkpoint …"
    assert "Device" in labels(model)
    model.load()
    assert "Give a hub id" in said(model)
    control(model, "Id or folder").value = str(tmp_path)
    model.load()
    assert "could not be loaded" in said(model) and "role='alert'" in said(model)
    control(explorer, "Regions").value = "hexagons"
    assert "'hexagons' names no regions" in unescape(said(explorer)) and "role='alert'" in said(explorer)
    assert control(explorer, "Regions").value == session.state.regions == "grid:2x3"
    control(model, "Model").value = "Mock (made-up numbers)"
    control(entered, "Question").value = "what?"
    explorer.explain()
    assert not said(explorer)


def test_small_helpers():
    assert text("<&'\">") == "&lt;&amp;&#x27;&quot;&gt;"
    assert table(("<a>",), [("<b>",)]).count("&lt;") == 2
    assert table(("a",), [("+1",)]).count("text-align:right") == 2


# A panel is one file


def test_each_module_of_panels_registers_one_and_widgets_offers_it():
    package = import_module("stcg_nb.widgets.panels")
    modules = [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    assert sorted(kind.__module__ for kind in PANELS.values()) == sorted(modules)
    for name, kind in PANELS.items():
        function = getattr(widgets, name)
        assert name in dir(widgets) and name in widgets.__all__
        assert (function.__name__, function.__doc__) == (name, kind.__doc__) and kind.__doc__
    assert not hasattr(widgets, "no_such_panel")


def test_a_panel_of_ones_own_is_shown_by_its_name(session):
    begun = []

    @PANELS.named("words_panel")
    class Words(Panel):
        """Count the question's words."""

        title = "<Words>"

        def __init__(self, session):
            super().__init__(session)
            self.widget = self.framed(self.busy.widget)

        def begin(self):
            begun.append(len(self.session.state.question.split()))

        def static(self):
            return {"text/html": str(begun)}

    try:
        panel = widgets.words_panel(session)
        assert widgets.words_panel(session) is panel and begun == [7]
        assert "words_panel" in dir(widgets) and widgets.words_panel.__doc__ == Words.__doc__
        assert "&lt;Words&gt;" in shown(panel)
        assert panel._repr_mimebundle_()["text/html"] == "[7]"
    finally:
        PANELS.remove("words_panel")
    assert not hasattr(widgets, "words_panel")


CONTROLS = [
    ("explorer", "Alignment by", "rollout", "estimator"), ("explorer", "Regions", "grid:2x2", "regions"),
    ("explorer", "Masks", "40", "masks"), ("explorer", "Masks", "auto", "masks"),
    ("explorer", "Removal by", "mean", "removal"), ("explorer", "Also filled by", ("blur",), "fills"),
    ("perturbation_panel", "Perturbations", ("center_mask",), "perturbations"),
    ("perturbation_panel", "Strength", 0.25, "strength"), ("perturbation_panel", "Seed", 3, "seed"),
    ("explorer", "Links", "alignment", "links"), ("explorer", "Strongest links", 5, "top"),
    ("explorer", "Beyond (nats)", 0.5, "min_effect"), ("explorer", "Token", 1, "step"), ("explorer", "Node", "word:1", "picked"),
    ("input_panel", "Question", "what is red?", "question"), ("input_panel", "Scene's seed", 9, "image"),
]  # fmt: skip


def test_every_option_of_an_explanation_has_a_control():
    assert {name for *_, name in CONTROLS} >= set(Options.model_fields)


@pytest.mark.parametrize(("panel", "label", "value", "name"), CONTROLS)
def test_a_control_changes_the_state_and_shows_it(session, panel, label, value, name):
    if name == "fills":  # which only a causal graph takes
        session.choose(masks=40)
    shown_panel = getattr(widgets, panel)(session)
    before = getattr(session.state, name)
    control(shown_panel, label).value = value
    chosen = {"image": f"scene:{value}", "masks": int(value) if value == "40" else value}.get(name, value)
    assert getattr(session.state, name) == chosen != before
    session.choose(**{name: before})
    assert control(shown_panel, label).value != value
    session.choose(**{name: chosen})
    assert control(shown_panel, label).value == value
