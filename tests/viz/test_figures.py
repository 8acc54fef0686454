"""What holds for every figure: it says what it is about, escapes all text, is the same each time, and is on the page."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from read_figure import TAGS, seen, texts
from sample import ANSWER, QUESTION, sample_dataset

from stcg_nb.errors import InputError
from stcg_nb.graph.stcg import STCG
from stcg_nb.viz.figures import FIGURES

HOSTILE = '<script>alert(1)</script> <img src=x onerror="alert(2)"> $x^2$ & <a href="javascript:alert(3)">car</a>?'
NEW = """
import plotly.graph_objects as go

from stcg_nb.viz.figures import figure


@figure("zeal", caption="How <zealous> it is.")
def zeal(stcg):
    return go.Figure(layout={"title": {"text": f"zeal of {stcg.answer}"}})
"""
ON_A_PAGE = """
import sys
from stcg_nb.graph.stcg import STCG
from stcg_nb.registry import import_all
from stcg_nb.viz import figures, write_html
sys.path.insert(0, "tests")
from sample import sample_dataset
figures.__path__.append(sys.argv[1])
import_all("stcg_nb.viz.figures")
write_html(STCG(sample_dataset()), sys.argv[2])
"""


@pytest.fixture(scope="module")
def stcg():
    return STCG(sample_dataset())


@pytest.fixture(scope="module", params=FIGURES)
def make(request):
    return FIGURES[request.param].draw


def test_the_page_has_them_in_order_and_a_wrong_name_is_told():
    assert list(FIGURES)[:5] == ["graph", "words", "steps", "perturbations", "timeline"]
    with pytest.raises(InputError, match=r"'grph' is no figure; valid are graph, words, "):
        FIGURES["grph"]


def test_captions_of_a_causal_graph_do_not_speak_of_attention(stcg):
    causal = STCG(sample_dataset(causal=True))
    assert "attention" in FIGURES["words"].caption(stcg)
    assert not [name for name, figure in FIGURES.items() if "attention" in figure.caption(causal)]
    assert FIGURES["graph"].caption(causal) == FIGURES["graph"].caption(stcg)


def test_a_figure_in_a_new_file_is_on_the_page_with_its_caption(tmp_path: Path):
    """In a process of its own, so that no other test has that figure."""
    folder, page = tmp_path / "new", tmp_path / "stcg.html"
    folder.mkdir()
    (folder / "a_new_one.py").write_text(NEW)
    subprocess.run([sys.executable, "-c", ON_A_PAGE, str(folder), str(page)], check=True)
    text = page.read_text(encoding="utf-8")
    assert '<p class="note">How &lt;zealous&gt; it is.</p>' in text
    assert f"zeal of {ANSWER}" in text
    headings = re.findall(r"<h2>(\w+)</h2>", text)
    assert headings[:5] == ["Graph", "Words", "Steps", "Perturbations", "Timeline"] and "Zeal" in headings


def test_the_title_holds_model_question_and_answer(stcg, make):
    title = seen(make(stcg).layout.title.text)
    for part in ("tiny", QUESTION, ANSWER):
        assert part in title


def test_the_answer_stays_in_the_title_of_a_long_question(make):
    figure = make(STCG(sample_dataset(question="is it so " * 220 + "?", answer="a red car")))
    title = seen(figure.layout.title.text)
    assert "is it so is it so" in title and "…" in title and "a red car" in title
    assert max(len(seen(line)) for line in figure.layout.title.text.split("<br>")[1:]) <= 97


def test_all_text_is_escaped(make):
    stcg = STCG(sample_dataset(question=HOSTILE, answer=HOSTILE[:-1]))
    figure = make(stcg)
    for text in texts(figure):
        rest = TAGS.sub("", text)
        assert "<" not in rest and ">" not in rest and "$" not in rest
        assert "&" not in re.sub(r"&(?:lt|gt|amp|#36);", "", rest)
    assert "<script>alert(1)" in seen(figure.layout.title.text)


def test_notes_of_a_foreign_file_are_escaped(make):
    dataset = sample_dataset()
    dataset.attrs.update(estimator="<a href='x'>y</a>", model="<b>z</b>")
    for text in texts(make(STCG(dataset))):
        assert "<a" not in text and "<b>z" not in text


def test_a_mocks_figure_says_so_on_its_face(stcg, make):
    synthetic = make(STCG(sample_dataset(synthetic=True)))
    assert "SYNTHETIC" in synthetic.layout.title.text
    (mark,) = (a for a in synthetic.layout.annotations if a.text == "SYNTHETIC")
    assert mark.font.size >= 40
    assert "SYNTHETIC" not in make(stcg).to_json()


def test_a_figure_changes_nothing_and_is_always_the_same(stcg, make):
    before = copy.deepcopy(stcg.data)
    assert make(stcg).to_json() == make(STCG(sample_dataset())).to_json()
    assert stcg.data.identical(before)


def test_figures_are_the_same_in_another_process():
    """Hashes of text differ between processes; no order in a figure may hang on them."""
    program = (
        "import hashlib, sys; sys.path.insert(0, 'tests'); from sample import sample_dataset; from stcg_nb.viz.figures import FIGURES;"
        "from stcg_nb.graph.stcg import STCG; s = STCG(sample_dataset());"
        "print(hashlib.sha256(''.join(f.draw(s).to_json() for f in FIGURES.values()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("question", "answer", "perturbations"),
    [
        ("why?", "red", ()),
        ("why?", "red", ("center_mask",)),
        ("one two three four five six", "x", ("center_mask",) * 7),
        ("word " * 60, "token " * 40, ("center_mask", "color_shift")),
        ("a" * 300, "b" * 300, ("center_mask",)),
    ],
)
def test_any_number_of_words_tokens_and_perturbations(make, question, answer, perturbations):
    stcg = STCG(sample_dataset(question=question, answer=answer, perturbations=perturbations))
    figure = make(stcg)
    content = json.loads(figure.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["layout"]["width"] == 900
    assert 300 < content["layout"]["height"] < 6000


def test_every_picture_is_inside_the_figure(make):
    """Nothing comes from elsewhere: all pictures are data, and no text names another place."""
    figure = make(STCG(sample_dataset(question="w " * 13, answer="t " * 8)))
    assert "http" not in figure.to_json()
    for image in figure.layout.images:
        assert image.source.startswith("data:image/jpeg;base64,")


def test_a_figure_is_small(make, stcg):
    assert len(make(stcg).to_json()) < 120_000
