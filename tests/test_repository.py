"""The files around the code agree with it: requirements, versions, commands, and nothing in them that belongs elsewhere."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import stcg_nb
from stcg_nb.inputs import open_image
from stcg_nb.scenes import make_questions, make_scene

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"pytorch": "torch"}
# Written so that this file does not match itself.
HOSTS = re.compile(r"pypi[.]org|pythonhosted[.]org|anaconda[.](org|com)|download[.]pytorch")
INDEX = re.compile(r"index[-]url|find[-]links")
MACHINE = re.compile(r"(?<![\w.~-])/(work|home|root|Users|tmp)/[\w.-]+")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(*extras: str) -> dict[str, Requirement]:
    """By name and marker, since OpenCV has two names."""
    table = project()
    texts = [*table["dependencies"], *(t for e in extras for t in table["optional-dependencies"][e])]
    return {f"{canonicalize_name(r.name)};{r.marker}": r for r in map(Requirement, texts)}


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_environment_yml_agrees_with_pyproject_in_names_and_bounds():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(e["pip"] for e in entries if isinstance(e, dict))
    assert "-e ." in pip
    found = {}
    for text in [*(e for e in entries if isinstance(e, str)), *(p for p in pip if p != "-e .")]:
        need = Requirement(text)
        found[f"{canonicalize_name(CONDA_NAMES.get(need.name, need.name))};{need.marker}"] = need.specifier
    assert found.pop("python;None") == project()["requires-python"]
    assert not found.pop("pip;None")
    assert found == {name: r.specifier for name, r in requirements("lab", "test").items()}


def test_every_requirement_is_pinned_within_its_bounds():
    lines = (ROOT / "constraints" / "pinned.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert len(pins) == sum("==" in line for line in lines)
    wanted = requirements(*project()["optional-dependencies"])
    outside = [str(r) for r in wanted.values() if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))]
    assert outside == []


def test_versions_agree():
    version = project()["version"]
    assert stcg_nb.__version__ == version
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## (Unreleased|{re.escape(version)})", changelog, re.MULTILINE)


def test_the_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text()
        commands = {word for line in re.findall(r"\bmake ((?:[a-z]+ ?)+)", text) for word in line.split()[:1]}
        code = {word for line in re.findall(r"`make ([a-z ]+)`", text) for word in line.split()}
        assert {c for c in code if c not in targets} == set(), name
        if name == "README.md":
            assert {"run", "test"} <= commands
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets


def readme_questions() -> list[tuple[str, str]]:
    """The pictures of README.md's examples and what is asked about them."""
    text = (ROOT / "README.md").read_text()
    called = re.findall(r'image="([^"]+)", question="([^"]+)"', text)
    typed = re.findall(r'(?:stcg explain|-p image) "?([^ "]+)"? (?:-p question )?"([^"]+)"', text)
    assert (len(called), len(typed)) == (1, 2)
    return called + [(path.removeprefix("$PWD/"), question) for path, question in typed]


def test_the_model_of_the_readmes_examples_gets_them_right():
    """What is asked about must be in the picture; of a scene that is known, of the demo a person has seen it."""
    tiny = stcg_nb.load_model("tiny")
    demo = {"What is to the right of the yellow car?": "a red fish", "What color is the car?": "yellow"}
    for source, question in readme_questions():
        if source.startswith("scene:"):
            asked = make_questions(make_scene(int(source.split(":")[1])), 0)
            answers = {q.text: q.answer for q in asked if q.kind != "absent"}
        else:
            assert (ROOT / source).samefile(stcg_nb.demo()[0])
            answers = demo
        assert question in answers, f"{source}: {question}"
        image = open_image(source if source.startswith("scene:") else ROOT / source)
        assert tiny.answer([image], tiny.prompt(question))[0].text == answers[question]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "package"),
    [("run", "."), ("lab", ".[lab]"), ("lint", ".[lab,test,train]"), ("test", ".[lab,test,train]")],
)
def test_make_installs_what_a_target_needs_and_no_more(target: str, package: str):
    plan = subprocess.run(["make", "-nB", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"--editable '(.*)'", plan) == [package]


def test_links_of_the_documents_lead_somewhere():
    missing = []
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
            if not target.startswith("https://") and not (ROOT / target).exists():
                missing.append(f"{name}: {target}")
    assert missing == []


@pytest.mark.parametrize(
    "what", [HOSTS, INDEX, MACHINE], ids=["registry host", "package index", "path of a build machine"]
)
def test_no_file_names_a_build_machine(what: re.Pattern[str]):
    found = [f"{path.relative_to(ROOT)}: {m[0]}" for path, text in texts() if (m := what.search(text))]
    assert found == []


def test_what_is_looked_for_would_be_found():
    assert HOSTS.search("https://files.python" + "hosted.org/x")
    assert INDEX.search("pip install --extra-index" + "-url x")
    assert MACHINE.search('open("/ho' + 'me/someone/x")')
    assert not MACHINE.search("see docs/home/index.html or ~/tmp/x")


def test_no_file_is_over_20_megabytes():
    assert [str(p) for p in tracked() if p.stat().st_size > 20e6] == []


BAD = {
    "ruff": "import os\n",
    "ruff-format": "x = [1,\n  2]\n",
    "mypy": 'x: int = "text"\n',
}


@pytest.mark.parametrize("hook", BAD)
def test_a_commit_hook_stops_a_bad_file_and_passes_a_good_one(hook: str, tmp_path: Path):
    """The hooks run in another checkout, with the tools of this environment and without network."""
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    file = tmp_path / "stcg_nb" / "module.py"
    file.parent.mkdir()
    file.write_text('"""A module."""\n\nx = [1, 2]\n')
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "stcg_nb"], check=True)
    command = [sys.executable, "-m", "pre_commit", "run", hook, "--all-files"]
    good = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (good.returncode, "Passed" in good.stdout) == (0, True), good.stdout
    file.write_text(BAD[hook])
    bad = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (bad.returncode, "Failed" in bad.stdout) == (1, True), bad.stdout


def test_the_readmes_accuracies_are_the_model_cards():
    card = (ROOT / "stcg_nb/data/tiny/README.md").read_text()
    table = (ROOT / "README.md").read_text().split("## Measured")[1].split("## ")[0]
    rows = re.findall(r"\| [\d,]+ \| [\d.]+ % \| [\d.]+ to [\d.]+ % \|", table)
    assert len(rows) == 4
    assert [row for row in rows if row not in card] == []


def test_the_map_in_contributing_is_true():
    """Every folder and every module at the top of the package stands in the map once, above what it may import."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("## Where things are") : text.index("## Where do I add")]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    mapped = [name.removesuffix("/").removesuffix(".py") for row in rows for name in re.findall(r"`([\w/.]+)`", row)]
    package = ROOT / "stcg_nb"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    assert sorted(mapped) == sorted(folders | modules)
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (layers,) = (c["layers"] for c in tool["importlinter"]["contracts"] if c["type"] == "layers")
    place = {name: i for i, layer in enumerate(layers) for name in layer.split(" | ")}
    assert [place[name] for name in mapped] == sorted(place[name] for name in mapped)


def test_modules_and_functions_stay_small():
    """A module of at most 300 lines, a function of at most 60."""
    for path in (ROOT / "stcg_nb").rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name}"
