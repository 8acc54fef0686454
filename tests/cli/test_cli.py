"""The command line as a user meets it: files, exit codes, one sentence on stderr, and nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest
from PIL import Image

import stcg_nb
from stcg_nb import demo
from stcg_nb.cli import commands, main
from stcg_nb.explanation import explain
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.trust import trust_said
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.notebooks import read_value
from stcg_nb.options import Options
from stcg_nb.scenes.questions import KINDS
from stcg_nb.viz import report as page

IMAGE, QUESTION = demo()
FILES = ["graph.graphml", "stcg.html", "stcg.json", "stcg.npz"]


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No settings, no network, and a folder of its own for what has a default place."""
    for name in list(os.environ):
        if name.startswith("STCG_") or name == "USE_MOCK_MODEL":
            monkeypatch.delenv(name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments: str) -> str:
    """The one line that a command that cannot be done says."""
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("stcg: ") and line.endswith(".")
    assert "Traceback" not in line
    return line


def explain_command(*more: str, image: str = IMAGE, question: str = QUESTION, out: object = "out") -> list[str]:
    return ["explain", image, question, "--model", "mock", "--out", str(out), *more]


def test_explain_writes_the_four_files(tmp_path, capsys):
    out = tmp_path / "new" / "results"
    assert main(explain_command("--masks", "0", "--regions", "grid:3x3", "--seed", "4", out=out)) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert sorted(p.name for p in out.iterdir()) == FILES
    assert all(str(out / name) in said.out for name in FILES)
    assert "SYNTHETIC" in said.out
    expected = explain(IMAGE, QUESTION, "mock", masks=0, regions="grid:3x3", seed=4)
    assert STCG.load(out / "stcg.npz") == expected
    content = json.loads((out / "stcg.json").read_text(encoding="utf-8"))
    assert (content["answer"], content["seed"], len(content["regions"])) == (expected.answer, 4, 9)
    assert [p["name"] for p in content["perturbations"]] == list(DEFAULT)
    graph = nx.read_graphml(out / "graph.graphml", force_multigraph=True)
    assert graph.number_of_edges() == len(content["edges"])
    assert (out / "stcg.html").read_text(encoding="utf-8") == page.html(expected)


def test_perturbations_by_name_and_strength(tmp_path):
    assert main(explain_command("--perturbations", "color_shift, gaussian_noise,", "--strength", "0.25")) == 0
    data = STCG.load(tmp_path / "out" / "stcg.npz").data
    assert data["perturbation"].values.tolist() == ["color_shift", "gaussian_noise"]
    assert data["strength"].values.tolist() == [0.25, 0.25]
    assert main(explain_command("--perturbations", "", out="none")) == 0
    assert STCG.load(tmp_path / "none" / "stcg.npz").data.sizes["perturbation"] == 0


def test_an_empty_folder_that_exists_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    assert main(explain_command()) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


@pytest.mark.parametrize(
    "question",
    [
        "<script>alert(1)</script><img src=x onerror=alert(2)> </script>?",
        "🚗 👩‍👩‍👧 is it red?",
        "what is it " * 180,
        "???",
        "¿de qué color es el coche? 这是什么",
        'a "quoted" \\ question \u202e \x1b[31m\x07 ?',
    ],
    ids=["markup", "emoji", "long", "marks", "languages", "control"],
)
def test_questions_of_any_kind(tmp_path, question):
    masks = ["--masks", "0"] if len(question) > 999 else []  # 256 are too few for so many words
    options = ("--regions", "grid:2x2", "--perturbations", "color_shift", *masks)
    assert main(explain_command(*options, question=question)) == 0
    content = json.loads((tmp_path / "out" / "stcg.json").read_text(encoding="utf-8"))
    assert content["question"] == question.strip()
    text = (tmp_path / "out" / "stcg.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<img src=x" not in text
    nx.read_graphml(tmp_path / "out" / "graph.graphml")


def test_more_words_than_masks_are_refused_with_the_number_that_it_takes(capsys):
    line = refused(capsys, *explain_command("--regions", "grid:2x2", question="what is it " * 180))
    assert "256 masks are too few for 540 words and 4 regions" in line and "at least 549" in line


def test_trust_is_printed_and_masks_and_fills_are_asked_for(tmp_path, capsys):
    options = ("--regions", "grid:2x2", "--perturbations", "", "--masks", "auto", "--fills", "blur", "inpaint")
    assert main(explain_command(*options)) == 0
    stcg = STCG.load(tmp_path / "out" / "stcg.npz")
    assert stcg.trust is not None and trust_said(stcg) in capsys.readouterr().out.splitlines()
    assert {k: stcg.data.attrs[k] for k in ("masks_asked", "fills")} == {
        "masks_asked": "auto",
        "fills": "blur, inpaint",
    }


@pytest.fixture
def bad(tmp_path) -> Path:
    """A folder of images that cannot be used."""
    folder = tmp_path / "bad"
    folder.mkdir()
    whole = Path(IMAGE).read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("hello")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    return folder


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"image": "bad/empty.png"}, "empty"),
        ({"image": "bad/cut.png"}, "cut off"),
        ({"image": "bad/text.png"}, "no image"),
        ({"image": "bad/dot.png"}, "1 x 1"),
        ({"image": "bad/missing.png"}, "no image at"),
        ({"image": "bad"}, "folder"),
        ({"question": ""}, "empty"),
        ({"question": " \n "}, "empty"),
        ({"question": "why? " * 500}, "2,000"),
        ({"question": "what\udcff?"}, "UTF-8"),
        ({"--model": "blip"}, "embedded model, 'tiny'"),
        ({"--model": ""}, "'' is neither"),
        ({"--model": "x" * 5000}, "is neither"),
        ({"--model": "nobody/nothing"}, "nobody/nothing could not be loaded"),
        ({"--estimator": "shap"}, "'shap' is no estimator; valid are attention, "),
        ({"--regions": "voronoi"}, "valid are 'slic'"),
        ({"--regions": "grid:999x999"}, "does not fit"),
        ({"--regions": "missing.npz"}, "no file 'missing.npz'"),
        ({"--perturbations": "center_mask,blurr"}, "'blurr' is no perturbation; valid are center_mask"),
        ({"--strength": "1.5"}, "1.5"),
        ({"--strength": "nan"}, "nan"),
        ({"--seed": "-1"}, "-1"),
    ],
    ids=lambda value: next(iter(value.items()))[1][:20] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("existed", [False, True])
def test_bad_input_leaves_nothing(tmp_path, bad, capsys, more, part, existed):
    out = tmp_path / "new" / "out"
    if existed:
        out.mkdir(parents=True)
    positional = {k: v for k, v in more.items() if not k.startswith("--")}
    options = [x for pair in more.items() if pair[0].startswith("--") for x in pair]
    assert part in refused(capsys, *explain_command(*options, out=out, **positional))
    assert sorted(p.name for p in tmp_path.iterdir()) == (["bad", "new"] if existed else ["bad"])
    if existed:
        assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("STCG_DEVICE", "gpu"), ("STCG_DTYPE", "int4"), ("USE_MOCK_MODEL", "maybe")]
)
def test_an_environment_that_is_wrong(tmp_path, capsys, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert f"{name} is '{value}'" in refused(capsys, "explain", IMAGE, QUESTION, "--model", "tiny", "--out", "out")
    assert list(tmp_path.iterdir()) == []


def test_the_environments_model_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("USE_MOCK_MODEL", "1")
    assert main(["explain", IMAGE, QUESTION, "--regions", "grid:2x2", "--perturbations", ""]) == 0
    assert sorted(p.name for p in (tmp_path / "stcg-results").iterdir()) == FILES
    assert STCG.load(tmp_path / "stcg-results" / "stcg.npz").model == "mock"


def test_a_folder_with_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    assert "holds files already" in refused(capsys, *explain_command())
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "out" / "deep").is_dir()


@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300, "link"])
def test_a_folder_that_cannot_be(tmp_path, capsys, out):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert out in refused(capsys, *explain_command(out=f"{out}"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]
    assert (tmp_path / "file").read_text() == "kept"


def test_part_of_a_path_that_cannot_be_is_not_left(tmp_path, capsys):
    refused(capsys, *explain_command(out=f"a/b/{'x' * 300}"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="to root every folder can be written")
def test_a_folder_without_permission(tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    for out in ("locked", "locked/below"):
        assert "cannot be written" in refused(capsys, *explain_command(out=out))


@pytest.mark.parametrize("made", [OSError(13, "Permission denied"), OSError(30, "Read-only file system")])
def test_a_folder_that_the_system_refuses(tmp_path, capsys, monkeypatch, made):
    def refuse(*_, **__):
        raise made

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert made.strerror in refused(capsys, *explain_command())


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("existed", [False, True])
def test_stopped_while_writing(tmp_path, monkeypatch, error, existed):
    """Two files are there when the third fails: they go; what another program wrote meanwhile stays."""
    out = tmp_path / "new" / "out"
    if existed:
        out.mkdir(parents=True)

    def fail(stcg):
        assert sorted(p.name for p in out.iterdir()) == ["graph.graphml", "stcg.json"]
        if existed:
            (out / "other.txt").write_text("of another program")
            (out / "other").mkdir()
        raise error

    monkeypatch.setattr(page, "html", fail)
    if error is KeyboardInterrupt:
        assert main(explain_command("--perturbations", "", out=out)) == 130
    else:
        with pytest.raises(error):
            main(explain_command("--perturbations", "", out=out))
    if existed:
        assert sorted(p.name for p in out.iterdir()) == ["other", "other.txt"]
    else:
        assert not (tmp_path / "new").exists()


def test_stopped_while_another_program_writes_into_a_new_folder(tmp_path, monkeypatch):
    def fail(stcg):
        (tmp_path / "out" / "other.txt").write_text("of another program")
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "html", fail)
    assert main(explain_command("--perturbations", "")) == 130
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["other.txt"]


def test_accuracy_as_json(capsys):
    assert main(["accuracy", "--model", "mock", "--n", "22", "--seed", "3", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert (report["model"], report["dataset"], report["n"], report["seed"]) == ("mock", "scenes", 22, 3)
    assert set(report["kinds"]) == set(KINDS)
    assert sum(entry["n"] for entry in report["kinds"].values()) == 22
    right = sum(entry["n"] * entry["accuracy"] for entry in report["kinds"].values())
    assert report["overall"] == pytest.approx(right / 22, abs=1e-3)
    for entry in (report, *report["kinds"].values()):
        low, high = entry["interval"]
        assert 0 <= low <= entry.get("accuracy", report["overall"]) <= high <= 1


def test_accuracy_as_text(capsys):
    assert main(["accuracy", "--model", "mock", "--n", "11", "--without", "image"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mock on scenes without the image"
    assert lines[1].split()[0] == "overall" and lines[1].endswith("n = 11")
    assert {line.split()[0] for line in lines[2:]} == set(KINDS)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--n", "0"], "n is 0"),
        (["--seed", "-2"], "-2"),
        (["--dataset", "vqa"], "'vqa' is no dataset; valid are "),
        (["--without", "nothing"], "valid are image, question"),
        (["--model", "mocc"], "'mocc' is neither"),
    ],
)
def test_accuracy_that_cannot_be_measured(capsys, more, part):
    assert part in refused(capsys, "accuracy", "--model", "mock", *more)


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["explane"], ["explain"], ["explain", IMAGE], ["explain", IMAGE, "why?", "--strength", "much"],
        ["explain", IMAGE, "why?", "--colour", "red"], ["run"], ["run", "a.ipynb", "-p", "KEY"], ["accuracy", "--n", "many"],
    ],
)  # fmt: skip
def test_a_command_that_is_wrong(tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: stcg" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


COMMANDS = {path.stem for path in Path(commands.__file__).parent.glob("*.py")} - {"__init__"}


def helped(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command_with_its_sentence(capsys):
    text = helped(capsys)
    for name in COMMANDS:
        assert re.search(rf"^    {name} +[a-z]", text, re.M), name


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_a_command_names_and_explains_every_option(capsys, command):
    """Every argument of a command's module is in its help, and none is without a word of what it is."""
    text = helped(capsys, command)
    source = (Path(commands.__file__).parent / f"{command}.py").read_text()
    declared = set(re.findall(r'"(--[a-z]+)"', source))
    if "add_options(" in source:
        declared |= {f"--{name}" for name in Options.model_fields}
    options = text[text.index("options:") :]
    shown = re.findall(r"^  (?:-\w, |-\w .*, )?(--\w+)", options, re.M)
    assert declared <= set(shown)
    for name in shown:
        entry = re.search(rf"{name}\b[^\n]*\n?(?:\s{{10,}}[^\n]+\n?)*", options).group()
        assert len(re.sub(r"--?\w+|[A-Z]+", "", entry).split()) >= 2, f"{name} is not explained"


def test_the_top_help_waits_for_no_torch():
    code = "import sys; from stcg_nb.cli import main\ntry: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.rstrip().endswith("False")


def run_module(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stcg_nb", *arguments],
        capture_output=True, text=True, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_python_m_is_the_same_command():
    assert run_module("--version").stdout == f"stcg {stcg_nb.__version__}\n"
    wrong = run_module("run", "missing.ipynb")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "stcg: 'missing.ipynb' is no notebook; give an existing .ipynb or a paired .py.\n"


def test_a_terminal_without_emoji_is_no_reason_to_fail(tmp_path):
    done = run_module(*explain_command("--perturbations", "", question="🚗?"), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\U0001f697" in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-0.5", -0.5), ("1e3", 1000.0), ("true", True), ("True", True), ("null", None), ("None", None),
        ('["a", 1]', ["a", 1]), ('{"a": [2]}', {"a": [2]}), ('"3"', "3"), ("", ""), ("no", "no"), ("tiny", "tiny"),
        ("what color: red or blue?", "what color: red or blue?"), ("is this #1?", "is this #1?"), ("- what?", "- what?"),
        ("2024-01-01", "2024-01-01"), ("12:30", "12:30"), ("NaN", "NaN"), ("-Infinity", "-Infinity"), ("[a, b]", "[a, b]"),
        ("slic:8", "slic:8"),
    ],
)  # fmt: skip
def test_values_of_parameters(text, value):
    read = read_value(text)
    assert read == value and type(read) is type(value)


def test_the_demo_is_a_picture_about_which_its_question_can_be_asked():
    stcg = explain(IMAGE, QUESTION, "tiny", masks=0, perturbations=())
    assert stcg.answer == "a red fish" and stcg.data.attrs["p_answer"] > 0.9
