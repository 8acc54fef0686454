"""The command line: ``stcg COMMAND``. Each command is a module of `stcg_nb.cli.commands`; `main` finds them.

Exit codes: 0 success; 1 the command failed, with one sentence on stderr; 2 the command line is invalid; 3 a sweep finished but
skipped questions; 130 interrupted.
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

# Order in ``stcg --help``, most useful to a newcomer first; other commands follow.
ORDER = ("explain", "run", "accuracy", "card", "sweep", "figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character must not raise
    # Silences the libraries' download and loading bars; their errors still show.
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
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _commands():
        subparser = subparsers.add_parser(command.name, help=command.help)
        if command.name in argv:  # reading the options' valid values imports torch, which takes seconds
            command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _commands() -> list[Command]:
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    modules = [import_module(f"{commands.__name__}.{name}").COMMAND for name in names]
    return sorted(modules, key=lambda c: ORDER.index(c.name) if c.name in ORDER else len(ORDER))


@contextmanager
def _as_settings(args: argparse.Namespace) -> Iterator[None]:
    """Set the environment variables of `stcg_nb.settings` from the model's flags, so that notebooks and other processes inherit
    them; restore the environment afterwards."""
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
