"""Registries of what is chosen by name: perturbations, fills, estimators, figures, datasets, measures, panels.

A module registers its entry by a decorator. `import_all` imports every module of a package, so a new module needs no entry in any
list.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TypeVar

from stcg_nb.errors import InputError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A mapping from names to entries, in the order of registration.

    Args:
        what: The noun for one entry, used in the error that lists the valid names.

    Raises:
        InputError: On access to an unknown name.

    >>> colours = Registry[str]("colour")
    >>> colours.add("sky", "blue")
    >>> list(colours), colours["sky"]
    (['sky'], 'blue')
    >>> colours["grass"]
    Traceback (most recent call last):
    stcg_nb.errors.InputError: 'grass' is no colour; valid are sky.
    """

    def __init__(self, what: str) -> None:
        self._what, self._known, self._origins = what, dict[str, T](), dict[str, object]()

    def add(self, name: str, entry: T, made_by: object = None) -> None:
        """Register an entry. It replaces an earlier one of the same origin, as when a notebook cell runs twice.

        Args:
            name: By which it is chosen.
            entry: What is chosen.
            made_by: The function or class behind the entry; left out, the entry itself.

        Raises:
            InputError: If something of another origin has the name.
        """
        behind = entry if made_by is None else made_by
        origin = (getattr(behind, "__module__", None), getattr(behind, "__qualname__", repr(behind)))
        if self._origins.get(name, origin) != origin:
            raise InputError(f"There is a {self._what} {name!r} already; choose another name.")
        self._known[name], self._origins[name] = entry, origin

    def remove(self, name: str) -> None:
        """Remove an entry."""
        del self._known[name], self._origins[name]

    def named(self, name: str) -> Callable[[T], T]:
        """A decorator that registers what it decorates."""

        def add(entry: T) -> T:
            self.add(name, entry)
            return entry

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
    """Import every module of a package, so that each registers its entries.

    Args:
        package: The package's dotted name.
    """
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
