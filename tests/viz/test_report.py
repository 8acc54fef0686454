"""The page, opened in a headless browser: it draws everything, asks nobody for anything, and runs no one's script but its own."""

from __future__ import annotations

import html as markup
import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError
from plotly.offline import get_plotlyjs
from sample import ANSWER, QUESTION, sample_dataset

from stcg_nb.graph.selection import View, choose
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.summary import summary
from stcg_nb.viz import report as page
from stcg_nb.viz.figures import FIGURES

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = (
    "what</h1></title></script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"
    '"><svg onload=window.hacked=3> <!-- {{7*7}} \u2028 $x$ car?'
)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
    if BROWSER is None:
        pytest.skip("there is no Chromium or Chrome to open the page in")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Opened:
    """A page in the browser, with everything that it asked for and complained of."""

    def __init__(self, browser, path):
        self.tab = browser.new_page(viewport={"width": 1000, "height": 1400})
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_function(f"document.querySelectorAll('.js-plotly-plot .main-svg').length >= {len(FIGURES)}")
        self.tab.wait_for_load_state("networkidle")

    def asked_outside(self, path) -> list[str]:
        return [url for url in self.requests if url != path.as_uri() and not url.startswith(("data:", "blob:"))]


@pytest.fixture(
    scope="module",
    params=[
        {"question": HOSTILE, "answer": "<script>window.hacked=4</script> red", "synthetic": True},
        {"answer": "red", "perturbations": ()},
    ],
    ids=["hostile", "short"],
)
def opened(request, browser, tmp_path_factory):
    stcg = STCG(sample_dataset(**request.param))
    path = page.write_html(stcg, tmp_path_factory.mktemp("page") / "stcg.html")
    opened = Opened(browser, path)
    yield stcg, path, opened
    opened.tab.close()


def test_it_asks_nobody_and_complains_of_nothing(opened):
    _, path, page = opened
    assert page.requests[0] == path.as_uri()
    assert page.asked_outside(path) == []
    assert page.complaints == []


def test_every_figure_is_drawn(opened):
    stcg, _, page = opened
    for name, figure in FIGURES.items():
        made, plot = figure.draw(stcg), page.tab.locator(f"#plot-{name}")
        box = plot.locator(".main-svg").first.bounding_box()
        assert (box["width"], box["height"]) == (900, made.layout.height)
        assert stcg.answer in plot.locator(".g-gtitle").first.text_content().replace("\u00a0", " ")
        assert plot.locator("image").count() == len(made.layout.images)
    assert page.tab.locator("#plot-graph .scatterlayer .js-line").count() > 1
    bars = 2 * stcg.data.sizes["perturbation"]
    assert page.tab.locator("#plot-perturbations .barlayer .point").count() == bars


def test_no_script_of_the_question_runs(opened):
    stcg, _, page = opened
    assert page.tab.evaluate("window.hacked") is None
    assert page.tab.locator("h1").text_content() == stcg.question
    assert page.tab.title() == f"{stcg.question} · STCG"
    assert page.tab.locator("script").count() == 3
    assert page.tab.locator("header img").count() == 1


def test_the_page_could_not_send_anything_if_it_wanted(opened):
    """The policy forbids it: a request made by hand is refused before it leaves."""
    _, _, page = opened
    refused = page.tab.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', e => 'refused')")
    violations = page.tab.evaluate(
        """new Promise(done => {
            document.addEventListener('securitypolicyviolation', e => done(e.violatedDirective));
            const image = new Image(); image.src = 'http://127.0.0.1:9/x.png';
            setTimeout(() => done('none'), 3000);
        })"""
    )
    assert (refused, violations) == ("refused", "img-src")
    page.complaints.clear()


def test_words_and_numbers_can_be_read_without_the_figures(opened):
    stcg, _, page = opened
    text = page.tab.locator("body").inner_text()
    assert f"{stcg.model} answers:" in text
    assert [t.split("\n")[0] for t in page.tab.locator(".token").all_inner_texts()] == list(stcg.steps)
    for name, delta_p in zip(stcg.data["perturbation"].values, stcg.data["delta_p"].values, strict=True):
        row = page.tab.locator("table").nth(1).locator("tr", has_text=str(name)).inner_text()
        assert f"{delta_p:.3g}" in row
    assert ("SYNTHETIC" in text) == stcg.synthetic


def test_a_narrow_screen_scrolls_figures_not_the_page(opened):
    _, _, page = opened
    page.tab.set_viewport_size({"width": 380, "height": 800})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 380
    page.tab.set_viewport_size({"width": 1000, "height": 1400})


class Outline(HTMLParser):
    """Tags and attributes of a page, as a parser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text.replace(get_plotlyjs(), ""))  # megabytes that are the same in every page
    return parser


def test_a_hostile_question_adds_no_element():
    """Without a browser too: the same tags come out, whatever is asked."""
    plain = outline(page.html(STCG(sample_dataset())))
    dataset = sample_dataset()
    dataset.attrs.update(question=HOSTILE, model="<b>x</b>", estimator="</script><i>", created_with="</pre>")
    dataset["token_text"] = ("step", np.array(["<i>", "</span>", "&amp;"]))
    dataset["perturbed_answer"] = ("perturbation", np.array(["</td><script>"] * 4))
    hostile = outline(page.html(STCG(dataset)))
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert not [name for name, _ in plain.attributes if name.startswith("on")]
    links = [value for name, value in plain.attributes if name in ("src", "href")]
    assert links and all(value.startswith("data:") for value in links)


def test_plots_are_those_of_the_figures():
    stcg = STCG(sample_dataset(question=HOSTILE))
    text = page.html(stcg)
    start = text.index('id="plots">') + len('id="plots">')
    plots = json.loads(text[start : text.index("</script>", start)])
    assert plots == {name: json.loads(figure.draw(stcg).to_json()) for name, figure in FIGURES.items()}


def test_the_same_explanation_gives_the_same_page():
    assert page.html(STCG(sample_dataset())) == page.html(STCG(sample_dataset()))


def test_the_summary_is_read_from_the_numbers():
    dataset = sample_dataset()
    words, regions = dataset["word_effect"].values * 0, dataset["region_effect"].values * 0
    words[1, 2], regions[2, 7], regions[0, 1] = 3.21, 1.5, -9
    dataset["word_effect"], dataset["region_effect"] = (("step", "word"), words), (("step", "region"), regions)
    dataset["delta_p"] = ("perturbation", np.array([0.1, -0.6, 0.0, 0.5]))
    dataset["flipped"] = ("perturbation", np.array([False, True, False, True]))
    found = summary(STCG(dataset))
    word, token, other = QUESTION.split()[2], ANSWER.split()[1], ANSWER.split()[2]
    assert f"Without the word “{word}” the token “{token}” loses 3.2 nats" in found
    assert f"without region r7 the token “{other}” loses 1.5 nats" in found
    assert "Of 4 perturbations 2 change the answer" in found
    assert "-0.60, is by color_shift" in found


def test_the_summary_claims_no_loss_where_there_is_none():
    dataset = sample_dataset(perturbations=())
    for name in ("word_effect", "region_effect"):
        dataset[name] = -abs(dataset[name])
    assert summary(STCG(dataset)) == "No word alone costs a token anything; no region alone costs a token anything. "


@pytest.mark.parametrize(("causal", "asked"), [(True, 256), (True, "auto"), (False, 0)])
def test_the_recipe_is_the_call_that_made_it(causal, asked):
    made = sample_dataset(seed=5, causal=causal)
    made.attrs["masks_asked"] = str(asked)
    text = markup.unescape(page.html(STCG(made)))
    assert "from stcg_nb import explain" in text
    recipe = text[text.index("explain(\n") : text.index("\n# stcg-nb")]
    called = {}
    eval(recipe, {"IMAGE": "image", "explain": lambda *a, **k: called.update(k, positional=a)})
    assert called.pop("positional") == ("image", QUESTION, "tiny")
    assert called.pop("perturbations") == made["perturbation"].values.tolist()
    assert called.pop("masks") == asked
    assert called.pop("fills", []) == (["blur", "inpaint"] if causal else [])
    assert called == {
        "estimator": "gradient", "regions": "grid:4x6", "removal": made.attrs["removal"], "strength": 0.5, "seed": 5,
    }  # fmt: skip


def test_the_page_of_a_causal_graph_does_not_call_its_links_attention():
    by_cause, by_attention = (page.html(STCG(sample_dataset(causal=c))) for c in (True, False))
    assert "Where attention links" in by_attention and "no proof of anything" in by_attention
    assert "Where attention links" not in by_cause and "no proof of anything" not in by_cause
    assert (
        "Every link that the graph holds was tried" in by_cause
        and "256 masks of words and regions were run" in by_cause
    )
    assert "Regions were filled by mean, blur, inpaint." in by_cause and "Regions were filled by mean." in by_attention
    assert "exact under the fill mean, and was tried again under blur, inpaint" in by_cause
    assert "<p><b>Trust .92 [.87, .95] with 256 masks: how well" in by_cause and "<p><b>" not in by_attention


class Tables(HTMLParser):
    """The cells of a page's tables, ``[table][row][cell]``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[list[str]]] = []
        self._inside = False

    def handle_starttag(self, tag, attrs):
        self._inside = tag in ("th", "td")
        if tag == "table":
            self.found.append([])
        elif tag == "tr":
            self.found[-1].append([])
        elif self._inside:
            self.found[-1][-1].append("")

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.found[-1][-1][-1] += data


def test_the_tables_hold_the_numbers():
    stcg = STCG(sample_dataset(causal=True))
    parser = Tables()
    parser.feed(page.html(stcg).replace(get_plotlyjs(), ""))
    links, perturbations, steps = parser.found
    shown = choose(stcg, View())
    assert links[0][2] == "range over fills"
    for row, edge in zip(links[1:], (*shown.drawn, *shown.spurious), strict=True):
        assert row[0].endswith(f" → {stcg.steps[edge.step]}") and row[2] == f"{edge.low:+.3g} to {edge.high:+.3g}"
        assert (float(row[1]), float(row[3])) == pytest.approx((edge.weight, edge.share), rel=0.01, abs=0.005)
        assert row[4:] == [str(edge.rank), edge.verdict]
    data = stcg.data
    assert [row[0] for row in perturbations] == ["", *data["perturbation"].values]
    assert [row[-1] for row in perturbations] == ["answer", "→ a blue car", "unchanged", "→ a blue car", "unchanged"]
    for name, column in (("pixel_distance", 2), ("delta_w", 3), ("delta_w_js", 4), ("delta_p", 5)):
        shown = [float(row[column]) for row in perturbations[1:]]
        assert shown == pytest.approx(data[name].values.tolist(), rel=0.01)
    assert [row[0] for row in steps] == ["token", *stcg.steps]
    assert [row[5:] for row in steps[:2]] == [["moved (0–1)", "top 5 kept"], ["–", "–"]]
    assert [float(row[2]) for row in steps[1:]] == pytest.approx(data["v"].values.tolist(), rel=0.01)


def test_a_forgotten_value_stops_the_page():
    with pytest.raises(UndefinedError):
        page.PAGES.get_template("report.html").render(stcg=STCG(sample_dataset()))
