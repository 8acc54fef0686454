"""Elements are well-formed whatever text they hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.viz.svg_tags import clickable, tag, text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_text_comes_back_as_it_was(words):
    element = ET.fromstring(tag("g", tag("title", text(words)), aria_label=words, stroke_width=2, fill=None))
    shown = "".join(c if c.isprintable() else " " for c in words)
    assert element.attrib == {"aria-label": shown, "stroke-width": "2"}
    assert element.find("title").text == (shown or None)


def test_what_is_chosen_is_pressed():
    assert clickable("word:1", "car", "word:1")["aria_pressed"] == "true"
    assert clickable("word:1", "car", None)["aria_pressed"] == "false"
