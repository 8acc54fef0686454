"""Live widgets are taken out of executed notebooks: their state can be megabytes, and nothing answers it without a kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def strip_widgets(path: Path) -> None:
    """Take live widgets out of an executed notebook, in place."""
    book = nbformat.read(path, as_version=4)
    if drop_widgets(book):
        nbformat.write(book, path)


def drop_widgets(book: nbformat.NotebookNode) -> bool:
    """Take the state and the views of widgets out of a notebook, and say whether there were any.

    A view that comes with a picture or page of the same leaves that; one that comes with nothing but its name leaves nothing.
    """
    found = book.metadata.pop("widgets", None) is not None
    for cell in book.cells:
        for output in list(cell.get("outputs", ())):
            data = output.get("data", {})
            if data.pop(WIDGET_VIEW, None) is not None:
                found = True
                if set(data) <= {"text/plain"}:
                    cell.outputs.remove(output)
    return found
