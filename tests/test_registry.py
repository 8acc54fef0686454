"""What is chosen by name: an entry of another origin is not replaced silently."""

from __future__ import annotations

import pytest

from stcg_nb.errors import InputError
from stcg_nb.registry import Registry


def test_a_cell_that_runs_twice_replaces_its_own_and_nobody_elses():
    shapes = Registry[object]("shape")

    def cell() -> object:
        def square() -> None: ...

        shapes.add("square", square)
        return square

    cell()
    again = cell()
    assert shapes["square"] is again

    def round_one() -> None: ...

    with pytest.raises(InputError, match="There is a shape 'square' already"):
        shapes.add("square", round_one)
    assert shapes["square"] is again
    shapes.remove("square")
    shapes.named("square")(round_one)
    assert shapes["square"] is round_one
