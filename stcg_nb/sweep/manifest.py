"""The manifest of a sweep's folder: what is asked of whom and how. A sweep goes on only under the manifest it was begun with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stcg_nb.errors import InputError
from stcg_nb.files import PARTIAL, differing
from stcg_nb.sweep.parts import write_whole

FORMAT = 5
NAME, LOCK = "manifest.json", ".lock"


def as_text(manifest: Mapping[str, Any]) -> str:
    """A manifest as its file holds it."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def begin_or_check(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest into an empty folder, or compare it with the one that is there.

    Raises:
        InputError: If the folder holds another sweep or other files.
    """
    path = folder / NAME
    if not path.exists():
        strangers = sorted(p.name for p in folder.iterdir() if p.name != LOCK and p.suffix != PARTIAL)
        if strangers:
            raise InputError(
                f"The folder {str(folder)!r} holds {strangers[0]!r} and no sweep; name a new folder, or empty it."
            )
        write_whole(path, as_text(manifest).encode())
        return
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
        difference = differing(begun, manifest)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{str(path)!r} is damaged ({error}); name another folder, and the sweep begins anew."
        ) from None
    _check_format(folder, begun)
    if difference is not None:
        raise InputError(
            f"The sweep in {str(folder)!r} was begun with {difference}; go on as it was begun, or name another folder."
        )


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What a sweep asked of whom and how.

    Raises:
        InputError: If there is no sweep, its manifest is damaged, or the folder is of another format.
    """
    try:
        manifest = dict(json.loads((Path(folder) / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{str(folder)!r} is no folder of a sweep ({error}); name one that 'stcg sweep' wrote."
        ) from None
    _check_format(folder, manifest)
    return manifest


def _check_format(folder: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
    if manifest.get("format") != FORMAT:
        raise InputError(
            f"The sweep in {str(folder)!r} is of format {manifest.get('format')}, and this version of stcg-nb reads and writes "
            f"format {FORMAT} alone; sweep anew into another folder, or use the version that began it."
        )
