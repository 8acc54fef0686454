"""The package's errors: one sentence each that says what was given, what is valid and what to do."""

from __future__ import annotations


class StcgError(Exception):
    """Base of all errors that the package raises on purpose; the command line prints its sentence, no traceback."""


class InputError(StcgError, ValueError):
    """An image, question, name, parameter or file that cannot be used."""


class ModelError(StcgError, RuntimeError):
    """A checkpoint that cannot be loaded, or that fails the checks after loading."""
