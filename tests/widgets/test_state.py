"""Choices: they come back from JSON, parameters and the command line, and a bad one is refused in a sentence."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import jupytext
import numpy as np
import papermill
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stcg_nb.errors import InputError
from stcg_nb.graph.selection import LINKS
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.inputs.regions import Regions
from stcg_nb.notebooks.parameters import read_value
from stcg_nb.widgets.code import code, command, parameters
from stcg_nb.widgets.state import State

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_explore.ipynb"

states = st.builds(
    State,
    model=st.sampled_from(["tiny", "mock", "owner/name"]),
    image=st.sampled_from(["demo", "scene:7", "a b/ü'\".png"]),
    question=st.text(st.characters(codec="utf-8"), max_size=30),
    boxes=st.lists(st.tuples(*[st.integers(0, 99)] * 4), max_size=2).map(tuple),
    perturbations=st.lists(st.sampled_from(DEFAULT), max_size=3, unique=True).map(tuple),
    strength=st.floats(0, 1),
    seed=st.integers(0, 9),
    masks=st.just(0) | st.just("auto") | st.integers(24, 300),
    removal=st.sampled_from(["median", "cut"]),
    estimator=st.sampled_from(["attention", "gradient", "rollout"]),
    links=st.sampled_from(LINKS),
    step=st.none() | st.integers(0, 5),
    layer=st.none() | st.integers(0, 5),
    picked=st.none() | st.sampled_from(["word:3", "word:3>step:1"]),
    cuts=st.lists(st.sampled_from(["word:3>step:1", "region:1>step:0"]), unique=True).map(tuple),
)


filled = st.builds(
    State,
    masks=st.just("auto") | st.integers(24, 300),
    fills=st.lists(st.sampled_from(["blur", "mean"]), max_size=2, unique=True).map(tuple),
)


@given(states | filled)
def test_a_state_comes_back_from_json_parameters_and_the_command_line(state):
    assert State.from_json(state.to_json()) == state
    assert State.from_parameters(parameters(state)) == state
    words = shlex.split(command(state))
    pairs = zip(words[4::3], words[5::3], strict=True)
    assert State.from_parameters({name: read_value(value) for name, value in pairs}) == state
    compile(code(state), "code", "exec")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no saved state"), ("[1]", "JSON object"), ('{"colour": 1}', "no option 'colour'; valid are estimator"),
        ('{"step": "x"}', "step is 'x'"), ('{"masks": true}', "masks is True"), ('{"masks": 3}', "at least 24"),
        ('{"masks": "often"}', "masks is 'often'; it must be a whole number or 'auto'."), ('{"fills": ["cut"]}', "'cut' is no fill"),
        ('{"fills": ["blur"], "removal": "cut"}', "give no fills, or a removal that fills"),
        ('{"boxes": [[1, 2, 3]]}', "boxes holds [1, 2, 3]; it must be a list of lists of 4 whole numbers"),
        ('{"boxes": [[1, 2, 3, "a"]]}', "boxes holds 'a'"), ('{"boxes": 5}', "boxes is 5"),
        ('{"cuts": "word"}', "cuts is 'word'; it must be a list of texts"), ('{"cuts": [1]}', "cuts holds 1"),
        ('{"question": null}', "question is None"), ('{"estimator": "guess"}', "valid are attention"),
        ('{"estimator": "causal"}', "valid are attention"), ('{"removal": "burn"}', "median"),
        ('{"dtype": "float7"}', "float7"), ('{"links": "all"}', "valid are counterfactual"),
        ('{"regions": "hexagons"}', "'hexagons' names no regions; valid are 'slic'"),
    ],
)  # fmt: skip
def test_a_bad_state_is_refused_in_a_sentence(content, said):
    with pytest.raises(InputError, match=re.escape(said)) as raised:
        State.from_json(content)
    assert str(raised.value).count("\n") == 0


def test_regions_that_no_text_describes_are_refused():
    with pytest.raises(InputError, match="take regions by name"):
        State(regions=Regions(np.zeros((4, 4), int), ("all",)))


def test_the_notebook_takes_every_choice_as_a_parameter():
    known = papermill.inspect_notebook(str(NOTEBOOK))
    assert set(known) == {*State.model_fields, "run_dir"}
    source = "".join(cell.source for cell in jupytext.read(NOTEBOOK).cells if "widgets.start(" in cell.source)
    assert set(re.findall(r"(\w+)=\1\b", source)) == set(State.model_fields)
