"""A session of the mock, and its explorer."""

from __future__ import annotations

import pytest
from on_screen import QUICK

from stcg_nb import widgets


@pytest.fixture
def session():
    return widgets.start(**QUICK)


@pytest.fixture
def explorer(session):
    return widgets.explorer(session)
