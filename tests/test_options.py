"""Options are declared once: the signature, the command line, sweeps, panels and notebooks all follow."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import jupytext
import pytest

from stcg_nb import explain
from stcg_nb.cli.command import add_options, given_options
from stcg_nb.errors import InputError
from stcg_nb.inputs.fills import FILLS
from stcg_nb.options import Options, choices, help_text
from stcg_nb.sweep import SweepOptions
from stcg_nb.widgets import State

SCRIPTS = Path(__file__).parents[1] / "notebooks" / "scripts"


def arguments(*given: str, record=Options):
    import argparse

    parser = argparse.ArgumentParser()
    add_options(parser, record)
    return given_options(parser.parse_args(given), record), parser.format_help()


def test_the_signature_and_the_help_of_explain_are_those_of_the_options():
    shown = inspect.signature(explain).parameters
    for name, field in Options.model_fields.items():
        assert shown[name].default == field.default
        assert f"``{name}``: {help_text(name)}." in explain.__doc__


@pytest.mark.parametrize("record", [Options, SweepOptions])
def test_the_command_line_has_every_option_and_no_default_of_its_own(record):
    made, text = arguments(record=record)
    assert made == record()
    for name in record.model_fields:
        assert f"--{name}" in text


def test_the_command_line_reads_numbers_and_lists():
    made, _ = arguments(
        "--masks", "64", "--strength", "1", "--perturbations", "color_shift, center_mask", "--seed", "3"
    )
    assert made == Options(masks=64, strength=1.0, perturbations=("color_shift", "center_mask"), seed=3)


def test_the_command_line_takes_auto_and_lists_in_both_forms():
    made, _ = arguments("--masks", "auto", "--fills", "blur", "inpaint", "--perturbations", "color_shift,center_mask")
    assert made == Options(masks="auto", fills=("blur", "inpaint"), perturbations=("color_shift", "center_mask"))
    assert arguments("--fills", "blur,", "mean", "--masks", "64")[0] == Options(fills=("blur", "mean"), masks=64)
    with pytest.raises(InputError, match="'often'; it must be a whole number or 'auto'"):
        arguments("--masks", "often")


def test_panels_and_sweeps_hold_the_same_options_and_defaults():
    for record in (State, SweepOptions):
        for name, field in Options.model_fields.items():
            assert record.model_fields[name].default == field.default


def parameters(name: str) -> dict[str, object]:
    """A notebook's parameters with their defaults."""
    (cell,) = (c for c in jupytext.read(SCRIPTS / f"{name}.py").cells if "parameters" in c.metadata.get("tags", []))
    lines = [n for n in ast.parse(cell.source).body if isinstance(n, ast.AnnAssign)]
    return {line.target.id: ast.literal_eval(line.value) for line in lines}


@pytest.mark.parametrize("name", ["00_explore", "01_stcg"])
def test_a_notebook_has_every_option_with_its_default_or_none(name):
    found = parameters(name)
    for option, field in Options.model_fields.items():
        assert found[option] in (None, field.default), option


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"estimator": "shap"}, "'shap' is no estimator; valid are attention, "),
        ({"removal": "black"}, "'black' is no way to remove a region; valid are median, mean, blur, inpaint, "),
        ({"perturbations": ("blurr",)}, "'blurr' is no perturbation; valid are center_mask, "),
        ({"regions": "hexagons"}, "'hexagons' names no regions; valid are 'slic', "),
        ({"masks": 5}, "5 masks are too few for a causal graph; "),
        ({"masks": 2.5}, "masks is 2.5; it must be a whole number or 'auto'."),
        ({"masks": "often"}, "masks is 'often'; it must be a whole number or 'auto'."),
        ({"masks": 10}, "10 masks are too few for a causal graph; try at least 24."),
        ({"fills": ("cut",)}, "'cut' is no fill; valid are median, mean, blur, inpaint."),
        (
            {"fills": ("blur",), "removal": "cut"},
            "Regions are removed by 'cut' and fills are blur; cutting is another estimand",
        ),
        (
            {"fills": ("blur",), "masks": 0},
            "fills are blur and masks is 0; a causal graph is what is measured again, so give",
        ),
        ({"strength": 2}, "strength is 2; it must be at most 1."),
        ({"strength": "0.5"}, "strength is '0.5'; it must be a number."),
        ({"seed": -1}, "seed is -1; it must be at least 0."),
        ({"seed": True}, "seed is True; it must be a whole number."),
        ({"colour": 1}, "There is no option 'colour'; valid are estimator, regions, "),
    ],
)
def test_a_bad_option_is_one_sentence(given, sentence):
    with pytest.raises(InputError) as caught:
        Options(**given)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_a_fill_that_is_registered_is_an_option_at_once():
    FILLS.add("black_for_test", FILLS["mean"])
    try:
        assert "black_for_test" in choices("removal") and "black_for_test" in help_text("removal")
        assert Options(removal="black_for_test").removal == "black_for_test"
    finally:
        FILLS.remove("black_for_test")
