"""Shared fixtures."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("seeded", derandomize=True)  # the same examples in every run
settings.load_profile("seeded")
