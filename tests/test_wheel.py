"""What an installation that is not editable brings: every file of the package, modules that import, and panels that show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import stcg_nb

ROOT = Path(__file__).parent.parent

# Python's option -I hides the checkout and PYTHONPATH; the unpacked wheel comes before what is installed.
USE = """
import importlib, json, pkgutil, sys

sys.path.insert(0, sys.argv[1])
import stcg_nb
from stcg_nb import demo, explain, widgets

for module in pkgutil.walk_packages(stcg_nb.__path__, "stcg_nb."):
    importlib.import_module(module.name)
image, question = demo()
answer = explain(image, question, model="mock", masks=0).answer
panel = widgets.explorer(widgets.start(model="mock", masks=0))
print(json.dumps({
    "files": {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "stcg_nb"},
    "version": stcg_nb.__version__,
    "answer": answer,
    "view": panel._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"],
    "css": sys.modules["stcg_nb.widgets.canvas"].Canvas._css,
}))
"""


def sources() -> list[Path]:
    """The package's files in the checkout, relative to it."""
    found = [path for path in (ROOT / "stcg_nb").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [path.relative_to(ROOT) for path in found]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the sources; from the checkout setuptools would also pack what earlier builds left there."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "sources"
    for path in [*sources(), Path("pyproject.toml"), Path("README.md"), Path("LICENSE")]:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, copy]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel: Path):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("stcg_nb/")}
    assert packed == {path.as_posix() for path in sources()}


def test_an_installed_wheel_imports_explains_and_shows_a_panel(wheel: Path, tmp_path: Path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    command = [sys.executable, "-I", "-c", USE, str(site)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    used = json.loads(done.stdout)
    modules = {".".join(path.with_suffix("").parts) for path in sources() if path.suffix == ".py"}
    assert {name.removesuffix(".__init__") for name in modules} <= set(used["files"])
    assert [file for file in used["files"].values() if not Path(file).is_relative_to(site)] == []
    assert used["version"] == stcg_nb.__version__
    assert used["answer"]
    assert used["view"]["model_id"]
    assert used["css"] == (ROOT / "stcg_nb/widgets/canvas.css").read_text(encoding="utf-8")
