"""Pin what the project needs, as this environment has it.

    python constraints/freeze.py

Writes ``pinned.txt`` beside this file: the versions of the project's requirements, those of its extras, and all that these need in
turn. What else is installed is left out, and so is a local label such as ``+cpu``.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "stcg-nb"
# On other systems than Linux OpenCV comes under another name with the same versions.
SAME_VERSION = {"opencv-python": "opencv-python-headless"}
HEAD = """\
# The versions that the tests ran with. Made by `make constraints`; do not edit.
"""


def closure(project: str) -> dict[str, str]:
    """Version by name of everything that a project and all its extras need and this environment has."""
    extras = distribution(project).metadata.get_all("Provides-Extra") or []
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(project, extra) for extra in ("", *extras)]
    while queue:
        name, extra = queue.pop()
        if (canonicalize_name(name), extra) in seen:
            continue
        seen.add((canonicalize_name(name), extra))
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is not installed; install the project with all its extras first.") from None
        found[canonicalize_name(name)] = dist.version.split("+")[0]
        for text in dist.requires or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                queue += [(need.name, wanted) for wanted in ("", *need.extras)]
    del found[canonicalize_name(project)]
    return found


def main() -> None:
    pins = closure(PROJECT)
    pins |= {name: pins[twin] for name, twin in SAME_VERSION.items()}
    text = HEAD + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    (Path(__file__).parent / "pinned.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
