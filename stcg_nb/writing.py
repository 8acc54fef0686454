"""Files that are written as a whole or not at all: first beside their place, then moved onto it."""

from __future__ import annotations

import os
import tempfile
from os import PathLike
from pathlib import Path

from stcg_nb.errors import InputError


def write(path: str | PathLike[str], data: bytes) -> Path:
    """Write a file as a whole or not at all.

    Raises:
        InputError: If the folder does not exist or cannot be written.
    """
    path = Path(path)
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be written ({error.strerror}); choose a folder that exists and is yours."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be written ({error.strerror}); check the space and that it is no folder."
        ) from None
    finally:
        Path(partial).unlink(missing_ok=True)
    return path
