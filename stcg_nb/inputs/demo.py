"""The image and the question that the examples use."""

from __future__ import annotations

from pathlib import Path

DEMO_QUESTION = "What is to the right of the yellow car?"


def demo() -> tuple[str, str]:
    """The path of the demo image and a question about it."""
    return str(Path(__file__).parents[1] / "data" / "demo.png"), DEMO_QUESTION
