"""Things that are chosen by name: perturbations, fills, estimators, figures, datasets, measures.

A module adds its own by a decorator. `import_all` imports every module of a package, so that a new one needs no list to be in.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TypeVar

from stcg_nb.errors import InputError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """What can be chosen, by name, in the order in which it was added.

    Args:
        what: What each of them is, for the error that lists the valid names.

    Raises:
        InputError: For a name that nothing has.

    >>> colours = Registry[str]("colour")
    >>> colours.add("sky", "blue")
    >>> list(colours), colours["sky"]
    (['sky'], 'blue')
    >>> colours["grass"]
    Traceback (most recent call last):
    stcg_nb.errors.InputError: 'grass' is no colour; valid are sky.
    """

    def __init__(self, what: str) -> None:
        self._what, self._known = what, dict[str, T]()

    def add(self, name: str, thing: T) -> None:
        """Add a thing; an earlier one of the same name is replaced, as by a notebook cell that runs twice."""
        self._known[name] = thing

    def remove(self, name: str) -> None:
        """Take a thing away again."""
        del self._known[name]

    def named(self, name: str) -> Callable[[T], T]:
        """The decorator that adds what it decorates."""

        def add(thing: T) -> T:
            self.add(name, thing)
            return thing

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise InputError(f"{name!r} is no {self._what}; valid are {', '.join(self)}.")
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def import_all(package: str) -> None:
    """Import every module of a package, so that all that they register is there.

    Args:
        package: Its dotted name.
    """
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
