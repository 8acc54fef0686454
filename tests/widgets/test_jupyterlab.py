"""The notebook of panels as a person uses it: a real JupyterLab in a real browser."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from lab import BROWSER, run_all, running
from PIL import Image

from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.widgets.state import State

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_explore.ipynb"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install '.[lab]'")
    if BROWSER is None:
        pytest.skip("there is no Chromium or Chrome to open JupyterLab in")
    folder = tmp_path_factory.mktemp("lab")
    with running(folder) as lab:
        yield lab


class Page:
    """The notebook in a tab, with what its panels are called on the screen."""

    def __init__(self, lab, name: str) -> None:
        self.complaints: list[str] = []
        self.lab, self.folder = lab, lab.folder
        self.tab = lab.open(name)
        self.tab.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        run_all(self.tab)

    def panel(self, title: str):
        """A panel by its title; it is the innermost box that holds it and its controls."""
        heading = self.tab.get_by_text(title, exact=True)
        return self.tab.locator(".jp-OutputArea-output").filter(has=heading)

    @property
    def explorer(self):
        return self.panel("Explore the graph")

    @property
    def canvas(self):
        return self.explorer.locator(".stcg-canvas")

    def drawn(self) -> int:
        """How often the picture was drawn."""
        return int(self.canvas.get_attribute("data-drawn"))

    def redrawn(self, act) -> None:
        """Do something, and wait for the picture to follow."""
        before = self.drawn()
        act()
        self.tab.wait_for_function(
            "([element, before]) => Number(element.dataset.drawn) > before", arg=[self.canvas.element_handle(), before]
        )

    def picture(self) -> dict[str, float]:
        """Where the picture is on the screen."""
        picture = self.canvas.locator("svg > image")
        picture.evaluate("element => element.closest('.stcg-canvas').scrollIntoView({block: 'center'})")
        return picture.bounding_box()

    def links(self) -> int:
        return self.canvas.locator("svg > g[fill=none] > path").count()

    def explained(self) -> None:
        self.canvas.locator("[data-pick='step:0']").wait_for()
        self.explorer.get_by_role("button", name="Cancel").wait_for(state="hidden")


def small(lab, name: str, **values) -> str:
    """A copy of the notebook with other first choices."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    cell = next(c for c in book.cells if "parameters" in c.metadata.get("tags", []))
    for key, value in values.items():
        cell.source, found = re.subn(rf"(?m)^{key}: (.*?) = .*$", f"{key} = {value!r}", cell.source)
        assert found == 1
    nbformat.write(book, lab.folder / name)
    return name


@pytest.fixture(scope="module")
def page(lab):
    page = Page(lab, small(lab, "explore.ipynb", masks=32, regions="slic:10"))
    page.explained()
    return page


def test_the_embedded_model_is_loaded_and_answers(page):
    page.panel("Model").get_by_text("million parameters").wait_for()
    answer = page.panel("Picture and question")
    answer.get_by_text("probability of each token").wait_for()
    tokens = page.canvas.locator("[data-pick^='step:']")
    assert tokens.count() >= 1
    assert "probability" in tokens.first.get_attribute("aria-label")


def test_a_perturbation_is_picked_previewed_and_measured(page):
    panel = page.panel("Perturbations")
    panel.locator("select").select_option(["color_shift", "gaussian_noise"])
    panel.locator("img").nth(2).wait_for()
    panel.get_by_role("button", name="Measure").click()
    panel.get_by_text(re.compile("ΔW 0")).nth(1).wait_for()
    assert panel.locator("img").count() == 3
    page.explorer.get_by_text("The graph holds").wait_for()
    panel.locator("select").select_option([*DEFAULT])  # as it was explained
    page.explorer.get_by_text("The graph holds").wait_for(state="hidden")


def test_the_step_slider_shows_one_token(page):
    everything = page.links()
    slider = page.explorer.locator(".widget-hslider", has_text="Token").locator("[role=slider], .noUi-handle").first
    slider.focus()
    page.redrawn(lambda: slider.press("ArrowRight"))
    assert 0 < page.links() < everything
    ends = page.canvas.locator("circle[data-pick]").evaluate_all("all => all.map(e => e.dataset.pick.split('>')[1])")
    assert set(ends) == {"step:0"}
    slider.focus()
    page.redrawn(lambda: slider.press("ArrowLeft"))
    assert page.links() == everything


def test_a_click_chooses_a_region_and_the_list_says_so(page):
    box = page.picture()
    page.redrawn(lambda: page.tab.mouse.click(box["x"] + 6, box["y"] + box["height"] - 6))
    (chosen,) = page.canvas.locator("[aria-pressed=true]").evaluate_all("all => all.map(e => e.dataset.pick)")
    assert chosen.startswith("region:")
    node = page.explorer.locator(".widget-dropdown", has_text="Node").locator("select")
    assert node.evaluate("e => e.selectedOptions[0].text").startswith("region")
    page.explorer.get_by_text(re.compile(r"pixels 0 to \d+ across")).wait_for()


def test_the_keyboard_does_what_the_mouse_does(page):
    word = page.canvas.locator("[data-pick='word:0']")
    word.focus()
    page.redrawn(lambda: word.press("Enter"))
    assert page.canvas.locator("[data-pick='word:0']").get_attribute("aria-pressed") == "true"
    page.tab.keyboard.press("ArrowRight")
    page.redrawn(lambda: page.tab.keyboard.press("Enter"))
    assert page.canvas.locator("[data-pick='word:1']").get_attribute("aria-pressed") == "true"
    page.redrawn(lambda: page.tab.keyboard.press("Escape"))
    assert page.canvas.locator("[aria-pressed=true]").count() == 0


def test_a_link_is_cut_and_the_answer_changes_at_once(page):
    links = page.explorer.locator(".widget-dropdown", has_text="Link").locator("select").last
    names = links.locator("option").all_inner_texts()
    place = next(i for i, n in enumerate(names) if n.startswith("word") and "token" in n)
    page.redrawn(lambda: links.select_option(index=place))
    page.redrawn(lambda: page.explorer.get_by_role("button", name="Cut link").click())
    page.explorer.get_by_text("p after").wait_for()
    assert page.canvas.get_by_text("✂", exact=True).count() == 1 and page.canvas.get_by_text("✂ cut").count() == 1
    page.redrawn(lambda: page.explorer.get_by_role("button", name="Restore all").click())
    assert page.canvas.get_by_text("✂").count() == 0


def test_a_box_drawn_with_the_mouse_becomes_a_region(page):
    page.explorer.get_by_role("button", name="Draw regions").click()
    box = page.picture()
    x, y, w, h = (box[k] for k in ("x", "y", "width", "height"))
    page.tab.mouse.move(x + 0.1 * w, y + 0.1 * h)
    page.tab.mouse.down()
    page.tab.mouse.move(x + 0.3 * w, y + 0.5 * h)

    page.redrawn(page.tab.mouse.up)
    field = page.explorer.locator(".widget-text", has_text="Boxes").locator("input")
    x0, y0, x1, y1 = (int(v) for v in field.input_value().split())
    assert np.allclose([x0, y0, x1, y1], [26, 26, 77, 128], atol=3)
    page.redrawn(lambda: page.explorer.get_by_role("button", name="Clear", exact=True).click())
    page.explorer.get_by_role("button", name="Draw regions").click()
    assert field.input_value() == ""


def test_a_long_run_is_cancelled_and_the_notebook_stays_usable(page):
    masks = page.explorer.locator(".widget-text", has_text="Masks").locator("input")
    masks.fill("100000")
    masks.press("Enter")
    page.explorer.get_by_text("The choices have changed").wait_for()
    page.explorer.get_by_role("button", name="Explain").click()
    cancel = page.explorer.get_by_role("button", name="Cancel")
    page.explorer.get_by_text(re.compile(r"masks, \d+ of")).wait_for()
    page.redrawn(lambda: page.canvas.locator("[data-pick='word:0']").click())  # a click during computation
    cancel.click()
    page.explorer.get_by_text("Stopped.").wait_for()
    cancel.wait_for(state="hidden")
    masks.fill("32")
    masks.press("Enter")
    page.explorer.get_by_text("The choices have changed").wait_for(state="hidden")  # that explanation is there still


def test_files_are_exported_and_code_is_copied(page):
    panel = page.panel("Save and reproduce")
    panel.get_by_role("button", name="Save").click()
    panel.get_by_text("graph.graphml").wait_for()
    folder = page.folder / "stcg-results"
    names = {"state.json", "graph.png", "graph.svg", "stcg.html", "graph.graphml", "stcg.json"}
    assert {p.name for p in folder.iterdir()} >= names
    downloaded = page.lab.download("stcg-results/graph.png")
    picture = np.asarray(Image.open(io.BytesIO(downloaded)).convert("RGB"))
    assert picture.shape[1] == 1800 and 1200 < picture.shape[0] < 3333 and 10_000 < len(downloaded) < 3_000_000
    assert (picture == 255).all(-1).mean() > 0.2 and picture.std() > 20  # neither blank nor full
    state = State.from_json((folder / "state.json").read_text())
    assert (state.masks, state.regions) == (32, "slic:10")
    panel.get_by_role("button", name="Show code").click()
    panel.locator(".stcg-code button").first.click()
    panel.get_by_text("Copied", exact=True).wait_for()
    copied = page.tab.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == panel.locator(".stcg-code pre").first.inner_text().strip()
    assert "load_model('tiny')" in copied
    made: dict = {}
    exec(copied, made)
    assert json.loads((folder / "stcg.json").read_text())["answer"] == made["stcg"].answer
    # Pictures to a hair: the two were computed in batches of other sizes.
    assert re.sub(r"[-\d.]+", "", made["svg"]) == re.sub(r"[-\d.]+", "", (folder / "graph.svg").read_text())


def test_a_picture_and_a_perturbed_one_are_compared(page):
    panel = page.panel("Compare")
    panel.get_by_text("Nothing to compare yet").wait_for()
    panel.locator(".widget-dropdown", has_text="Perturbed by").locator("select").select_option("gaussian_noise")
    panel.get_by_role("button", name="Explain the perturbed picture").click()
    panel.get_by_text("nodes matched").wait_for()
    assert panel.locator(".stcg-canvas svg").count() == 3
    panel.get_by_role("button", name="Show code").click()
    panel.get_by_text("found = difference(first, second)").wait_for()


def test_bad_input_is_a_sentence_and_the_panels_go_on(page):
    picture, model = page.panel("Picture and question"), page.panel("Model")
    picture.locator("select").first.select_option("a file")
    with page.tab.expect_file_chooser() as chooser:
        picture.get_by_role("button", name="Upload").click()
    chooser.value.set_files({"name": "<b>no.png", "mimeType": "image/png", "buffer": b"no picture"})
    picture.get_by_role("alert").get_by_text("'<b>no.png' is no image").wait_for()
    picture.locator("select").first.select_option("the demo picture")
    model.locator("select").first.select_option("A checkpoint …")
    name = model.locator(".widget-text", has_text="Id or folder").locator("input")
    name.fill(str(page.folder))
    name.press("Enter")
    model.get_by_role("button", name="Load").click()
    model.get_by_role("alert").get_by_text("could not be loaded").wait_for()
    model.locator("select").first.select_option("Embedded model (tiny)")
    model.get_by_role("button", name="Load").click()
    model.get_by_text("million parameters").wait_for()
    page.explorer.get_by_text("The choices have changed").wait_for(state="hidden")  # as before


def test_running_the_cells_again_shows_the_same_panels(page):
    run = page.tab.locator(".jp-CodeCell", has_text="widgets.explorer(session)").first
    run.locator(".jp-InputArea-editor").click()
    page.tab.keyboard.press("Control+Enter")
    page.tab.keyboard.press("Control+Enter")
    page.explained()
    assert page.canvas.count() == 1
    assert not page.explorer.get_by_role("button", name="Cancel").is_visible()


def test_nothing_spilled_over_or_complained(page):
    page.tab.set_viewport_size({"width": 1280, "height": 720})
    wide = page.explorer.evaluate("e => e.scrollWidth - e.clientWidth")
    assert wide <= 1
    ours = [c for c in page.complaints if "favicon" not in c and "404" not in c]
    assert ours == []


def test_hostile_text_runs_nowhere(lab):
    hostile = "<img src=x onerror='window.hacked=1'><script>window.hacked=2</script> car?"
    name = small(lab, "hostile.ipynb", model="mock", question=hostile, masks=0)
    page = Page(lab, name)
    page.explained()
    page.panel("Picture and question").get_by_text("probability of each token").wait_for()
    page.panel("Save and reproduce").get_by_role("button", name="Show code").click()
    assert page.tab.evaluate("window.hacked") is None
    assert page.complaints == [c for c in page.complaints if "404" in c]
    page.tab.close()
