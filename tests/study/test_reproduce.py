"""All figures from notebooks: what is done is kept, what fails is named, what is wrong is said first; and the documents agree."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from stcg_nb.cli import main
from stcg_nb.errors import InputError
from stcg_nb.models import load_model
from stcg_nb.notebooks.run import RunError
from stcg_nb.stats.comparisons import Comparison
from stcg_nb.study import reproduce as module
from stcg_nb.study.findings import FAMILY, conclude, load_finding, save_finding
from stcg_nb.study.reproduce import FULL, NOTEBOOKS, reproduce
from stcg_nb.viz.figure_files import DrawingError, save_figure

ROOT = Path(__file__).parents[2]


@pytest.fixture
def notebooks(tmp_path) -> Path:
    """A folder with the notebooks' names; `run` stands for what they do."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in NOTEBOOKS:
        (folder / f"{name}.ipynb").touch()
    return folder


def settings(source: Path) -> dict:
    other = (source.parent / "other weights").exists() and "h4" in source.name
    return {"model": "m", "model_revision": "other" if other else load_model("mock").revision}


def run(source: Path, given: dict, folder: Path) -> Path:
    """What a notebook leaves behind, without a kernel: `stcg_nb.notebooks.run` has its own tests."""
    folder.mkdir(parents=True)
    (folder / "parameters.json").write_text(json.dumps(given))
    failed = (source.parent / "fail").exists() and "h3" in source.name
    (folder / "status.json").write_text(json.dumps({"status": "failed" if failed else "done"}))
    if failed:
        raise RunError(f"{source.name} stopped in cell 2")
    for key in NOTEBOOKS[source.stem]:
        save_finding(conclude(key, [Comparison("x", 0.5, 0.4, 0.6, 0.01, 22)], settings(source)), folder)
    return folder


@pytest.fixture(autouse=True)
def _no_browser_and_a_model_with_weights(monkeypatch):
    """Neither is what is tested here."""
    mock = load_model("mock")
    mock.synthetic = False
    monkeypatch.setattr(module, "draw", lambda figure, kind: b"")
    monkeypatch.setattr(module, "run_notebook", run)
    monkeypatch.setattr(module, "load_model", lambda name: mock)
    monkeypatch.setattr(module, "save_figure", lambda figure, folder, name: (Path(folder) / f"{name}.png").touch())


def parameters(folder: Path) -> dict:
    return json.loads((folder / "parameters.json").read_text())


def test_a_study_that_fails_goes_on_where_it_stopped(notebooks, tmp_path):
    out, said = tmp_path / "out", []
    (notebooks / "fail").touch()
    with pytest.raises(RunError, match=r"13_h3_dissociation.ipynb stopped in cell 2"):
        reproduce(out, notebooks=notebooks, seed=3, say=said.append)
    first = out / "11_h1_links" / "status.json"
    before = first.stat().st_mtime_ns
    (notebooks / "fail").unlink()
    said.clear()
    findings = reproduce(out, notebooks=notebooks, seed=3, say=said.append)
    assert first.stat().st_mtime_ns == before
    assert said[:4] == [
        "10_overview: done already", "11_h1_links: done already", "12_h2_colour: done already", "13_h3_dissociation: running ...",
    ]  # fmt: skip
    assert [f.key for f in findings] == list(FAMILY)
    given = parameters(out / "11_h1_links")
    assert (given["n"], given["seed"], given["records"]) == (FULL, 3, str(out / "records"))
    assert parameters(out / "16_h5_faithfulness")["masks"] == 256
    # Seven findings of p = .01: Holm gives .07 to each.
    assert {f.p_corrected for f in findings} == {0.07}
    assert load_finding(out / "11_h1_links" / "H1.json") == findings[0]
    table = json.loads((out / "findings.json").read_text())
    assert [row["key"] for row in table] == list(FAMILY)
    assert all({"effect", "low", "high", "n", "p_corrected", "verdict"} <= set(row) for row in table)
    assert (out / "findings.csv").read_text().count("\n") == len(FAMILY) + 1 and (out / "findings.png").exists()
    with pytest.raises(InputError, match="a study with seed 3, not 4"):
        reproduce(out, notebooks=notebooks, seed=4)


def test_weights_that_change_on_the_way_are_noticed(notebooks, tmp_path):
    """Also where the notebook was done before: findings of two models are never put into one table."""
    (notebooks / "other weights").touch()
    for _ in range(2):
        with pytest.raises(RunError, match=r"H4 in .* is of the weights other, but the study is of"):
            reproduce(tmp_path / "out", notebooks=notebooks, quick=True, say=str)
    assert not (tmp_path / "out" / "findings.json").exists()


def test_quick_takes_the_notebooks_own_sizes(notebooks, tmp_path):
    reproduce(tmp_path / "out", notebooks=notebooks, quick=True, say=str)
    assert "n" not in parameters(tmp_path / "out" / "11_h1_links")
    assert "masks" not in parameters(tmp_path / "out" / "16_h5_faithfulness")


def test_what_is_wrong_is_said_before_anything_runs(notebooks, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="n is 1"):
        reproduce(out, notebooks=notebooks, n=1)
    with pytest.raises(InputError, match="no card"):
        reproduce(out, notebooks=notebooks, card=tmp_path / "card.json")
    (notebooks / "12_h2_colour.ipynb").unlink()
    with pytest.raises(InputError, match=r"12_h2_colour.ipynb is not in"):
        reproduce(out, notebooks=notebooks)
    monkeypatch.setattr(module, "draw", lambda figure, kind: (_ for _ in ()).throw(DrawingError("no browser")))
    assert main(["figures", "--out", str(out)]) == 1
    assert "no browser" in capsys.readouterr().err
    assert not out.exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    monkeypatch.setattr(module, "draw", lambda figure, kind: b"")
    assert main(["figures", "--out", str(tmp_path / "other")]) == 1
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["mine.txt"]


def test_the_mock_has_no_faithfulness(notebooks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_model", lambda name: load_model("mock"))
    said: list[str] = []
    findings = reproduce(tmp_path / "out", notebooks=notebooks, model="mock", quick=True, say=said.append)
    assert [f.key for f in findings] == ["H1", "H2", "H3", "H4", "time"]
    assert said[-1] == "16_h5_faithfulness: left out, since mock has no weights."


def test_a_figure_without_a_browser_is_one_sentence(tmp_path):
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.to_image = lambda *a, **k: (_ for _ in ()).throw(RuntimeError("Chrome not found\nlong story"))  # type: ignore[method-assign]
    figure_class = type("Broken", (), {"layout": figure.layout, "to_image": lambda self, *a, **k: figure.to_image()})
    with pytest.raises(DrawingError, match="Chrome not found") as caught:
        save_figure(figure_class(), tmp_path, "x")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_the_study_names_the_notebooks_that_there_are():
    committed = {path.stem for path in (ROOT / "notebooks").glob("1*.ipynb")}
    assert committed == set(NOTEBOOKS)
    assert sorted(key for keys in NOTEBOOKS.values() for key in keys) == sorted(FAMILY)


def results(name="results"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_readmes_findings_are_those_of_the_study():
    made = results()
    findings = json.loads((ROOT / "docs" / "findings" / "findings.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert made.section(findings) in readme
    assert made.in_readme(readme, findings) == readme
    assert made.table(findings) in (ROOT / "docs" / "findings" / "README.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "findings").iterdir()) < 2_000_000


def test_the_readmes_card_is_the_one_that_was_measured():
    card = json.loads((ROOT / "docs" / "card.json").read_text(encoding="utf-8"))
    assert results("card").section(card) in (ROOT / "README.md").read_text(encoding="utf-8")
    weights = load_model("tiny").revision
    assert card["model_revision"] == weights
