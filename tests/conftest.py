"""What every test shares: the backends that run here, and how hypothesis draws.

`HYPOTHESIS_PROFILE=dev` (default) draws new examples each time; `ci` draws more of them, and the
same ones every time. Neither has a deadline, nor minds a slow draw: the first call of a compiled
backend takes seconds, and a busy machine is no defect of the code.

A test marked `slow` (hundreds of problems, thousands of draws) runs with `pytest --slow` only.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

import refot

settings.register_profile(
    "dev", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=50, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true",
                     help="run the tests marked slow too: large samples, minutes to hours")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked slow, unless `--slow` asks for them."""
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)


BACKENDS = [status.name for status in refot.backend_status()
            if status.available and not status.rule]  # `auto` is one of the others, by its rule


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend; a test that takes it runs on every backend that is present."""
    return str(request.param)
