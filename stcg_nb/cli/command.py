"""The record of a command, and the arguments that several commands share."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from stcg_nb.options import Options

Record = TypeVar("Record", bound="Options")


@dataclass(frozen=True)
class Command:
    """A command. Its module imports torch and the like inside `run`, so that ``stcg --help`` is fast.

    Attributes:
        name: The name that is typed after ``stcg``.
        help: One line for ``stcg --help``.
        add_arguments: Adds the command's arguments to a parser.
        run: Runs the command; returns an exit code, or None for 0.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a model and how it is loaded."""
    parser.add_argument(
        "--model", help="tiny, mock, a hub id or a folder (default: what the environment asks for, else tiny)"
    )
    parser.add_argument("--device", help="auto, cpu, cuda:0 ... (default: what the environment asks for, else auto)")
    parser.add_argument("--dtype", help="auto, float32, bfloat16, float16 (likewise)")
    parser.add_argument("--quantisation", help="none, 8bit, 4bit (likewise)")
    parser.add_argument("--revision", help="a branch, tag or commit of the hub (default: the newest)")


def add_dataset(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The argument that names a dataset, with what each one is; without a default it must be given."""
    from stcg_nb.datasets import DATASETS

    listed = "; ".join(f"{name}: {source.about}" for name, source in DATASETS.items())
    text = f"{listed}; or a .csv, .jsonl or .parquet file" + (f" (default {default})" if default else "")
    parser.add_argument("--dataset", default=default, required=default is None, help=text.replace("%", "%%"))


def add_options(parser: argparse.ArgumentParser, record: type[Options]) -> None:
    """Add one argument for each option of a record, with the record's names and help texts."""
    from stcg_nb.options import help_text

    for name, field in record.model_fields.items():
        kinds = {float, int} & {field.annotation, *typing.get_args(field.annotation)}
        read: Callable[[str], Any] = kinds.pop() if kinds else str
        if field.annotation not in (int, float):
            read = partial(_number_or_text, read)
        parser.add_argument(
            f"--{name}", type=read, nargs="+" if isinstance(field.default, tuple) else None,
            help=help_text(name, record).replace("%", "%%"),
        )  # fmt: skip


def _number_or_text(kind: Callable[[str], Any], text: str) -> Any:
    """A number, or the text of an option that also takes a name, which the record checks."""
    try:
        return kind(text)
    except ValueError:
        return text


def given_options(args: argparse.Namespace, record: type[Record]) -> Record:
    """The record of the options that were given on the command line; lists of names are separated by spaces or commas.

    Raises:
        InputError: If a value is invalid.
    """
    given: dict[str, Any] = {}
    for name, field in record.model_fields.items():
        value = getattr(args, name)
        if value is not None and isinstance(field.default, tuple):
            value = tuple(part.strip() for part in ",".join(value).split(",") if part.strip())
        if value is not None:
            given[name] = value
    return record(**given)
