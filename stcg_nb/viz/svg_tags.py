"""SVG elements as text. Attribute values and text from outside are escaped here, so that no caller has to think of it."""

from __future__ import annotations

import html
import re

UNIT = 440  # pixels of the image's longer side, which is the layout's unit
NEEDS_ESCAPE = re.compile(r"[^ -~]|[&<>\"']").search


def tag(name: str, *inside: str, **attributes: object) -> str:
    """One element.

    Args:
        name: Of the element.
        inside: What it holds: other elements, or text that went through `text`.
        attributes: Underscores become hyphens, values are escaped, and those that are None are left out.

    >>> tag("rect", tag("title", text("a < b")), stroke_width=2, fill=None, aria_label='"x"')
    '<rect stroke-width="2" aria-label="&quot;x&quot;"><title>a &lt; b</title></rect>'
    """
    written = "".join(
        f' {key.replace("_", "-")}="{text(str(value))}"' for key, value in attributes.items() if value is not None
    )
    return f"<{name}{written}>{''.join(inside)}</{name}>" if inside else f"<{name}{written}/>"


def text(words: str) -> str:
    """Escaped text, also for attributes; characters that XML cannot hold, and line breaks, become spaces."""
    if not NEEDS_ESCAPE(words):
        return words  # most attributes are numbers and names, and a drawing has thousands
    return html.escape("".join(c if c.isprintable() else " " for c in words))


def clickable(name: str, said: str, picked: str | None) -> dict[str, object]:
    """Attributes of an element that can be chosen.

    Args:
        name: What is chosen with it, such as ``"word:3"``.
        said: What a screen reader says.
        picked: The name that is chosen now.
    """
    pressed = "true" if name == picked else "false"
    return {"data_pick": name, "role": "button", "tabindex": -1, "aria_label": said, "aria_pressed": pressed}
