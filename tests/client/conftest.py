"""Every test here has a home folder of its own and no setting that leads to a real store."""

from collections.abc import Iterator

import pytest

from modelbox.client import active
from modelbox.client.connection import ModelBox
from modelbox.testing import memory_connection
from modelbox.testing.fixtures import clean_modelbox_environment

__all__ = ["clean_modelbox_environment"]

NAMESPACE = "équipe/vision"


@pytest.fixture(autouse=True)
def _own_home(clean_modelbox_environment: object) -> None:
    """Use the clean environment everywhere."""


@pytest.fixture(autouse=True)
def _no_run_is_left_open() -> Iterator[None]:
    yield
    while (experiment := active.current()) is not None:
        active.end(experiment)


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as connection:
        yield connection


@pytest.fixture
def strict_box() -> Iterator[ModelBox]:
    with memory_connection(strict=True) as connection:
        yield connection
