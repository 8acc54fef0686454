"""HTML of the panels. Templates are filled by Jinja2, which escapes every text; `text` escapes a single one."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


def fill(template: str, **values: Any) -> str:
    """A template of ``templates/``, filled."""
    return TEMPLATES.get_template(f"{template}.html").render(values)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of texts; a column whose first text is a number is set to the right."""
    sides = ["right" if rows and _number(rows[0][i]) else "left" for i in range(len(heads))]
    return fill("table", heads=heads, rows=rows, sides=sides)


def text(value: object) -> str:
    """Text as text in HTML.

    >>> text("<b>")
    '&lt;b&gt;'
    """
    return html.escape(str(value))


def hint(sentence: object, role: str = "note") -> str:
    """A small sentence in grey."""
    return f"<span role='{role}' style='color:#555;font-size:12px'>{text(sentence)}</span>"


def warning(sentence: object, role: str = "alert") -> str:
    """A sentence in red; screen readers read it out at once."""
    return f"<span role='{role}' style='color:#a33a00;font-weight:bold'>{text(sentence)}</span>"


def size(bytes_: float) -> str:
    """
    >>> size(5_500_000)
    '5.5 MB'
    """
    for unit in ("bytes", "kB", "MB"):
        if bytes_ < 1000:
            return f"{bytes_:.3g} {unit}"
        bytes_ /= 1000
    return f"{bytes_:.3g} GB"


def _number(cell: object) -> bool:
    return str(cell)[:1] in "+-−0123456789"
