"""The command line: ``stcg COMMAND``. Each command is a module of `stcg_nb.cli.commands`; `main` finds them.

Exit codes: 0 done; 1 what was asked could not be done, with one sentence on stderr; 2 the command itself was wrong; 3 a sweep is
done, but questions were skipped.
"""

from __future__ import annotations

import argparse
import io
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from stcg_nb import __version__
from stcg_nb.cli import commands
from stcg_nb.cli.command import Command
from stcg_nb.errors import StcgError

__all__ = ["main"]

# As a stranger needs them; commands that are not named here follow.
ORDER = ("explain", "run", "accuracy", "card", "sweep", "figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without emoji is no reason to fail
    # Download and loading bars of the libraries are not ours; errors still show.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        with _as_settings(args):
            return args.run(args) or 0
    except StcgError as error:
        print(f"stcg: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stcg: stopped.", file=sys.stderr)
        return 130


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stcg", description="What the answer of a vision-language model rests on, as a graph of causes."
    )
    parser.add_argument("--version", action="version", version=f"stcg {__version__}")
    found = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _commands():
        own = found.add_parser(command.name, help=command.help)
        if command.name in argv:  # options know their valid values only after torch, which takes seconds to import
            command.add_arguments(own)
        own.set_defaults(run=command.run)
    return parser


def _commands() -> list[Command]:
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    found = [import_module(f"{commands.__name__}.{name}").COMMAND for name in names]
    return sorted(found, key=lambda c: ORDER.index(c.name) if c.name in ORDER else len(ORDER))


@contextmanager
def _as_settings(args: argparse.Namespace) -> Iterator[None]:
    """The model's flags as variables of `stcg_nb.settings`, which reach notebooks and other processes too."""
    flags = {name: getattr(args, name, None) for name in ("device", "dtype", "quantisation", "revision")}
    given = {f"STCG_{name.upper()}": value for name, value in flags.items() if value is not None}
    before = {name: os.environ[name] for name in given if name in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]
        os.environ.update(before)
