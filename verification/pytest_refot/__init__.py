"""The options of the pytest plugin, and nothing that takes time to import.

pytest imports every installed plugin in every run, even if none of its options is used. To import
this one as part of refot would import NumPy, too. So this folder is installed a second time, as the
top-level package `pytest_refot`. The plugin itself is `refot.verification.pytest_refot.plugin`."""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add the options of the plugin, whose defaults switch it off."""
    group = parser.getgroup("refot", "refot: certified checks of entropic optimal transport")
    group.addoption("--refot-subject", metavar="TARGET",
                    help="verify this, each check on each case one test: as `refot verify TARGET`")
    group.addoption("--refot-command", metavar='"PROG"',
                    help="the same for a program: as `refot verify --command`")
    group.addoption("--refot-as", metavar="CAPABILITY",
                    help="what a bare function is: as `refot verify --as`")
    group.addoption("--refot-profile", metavar="PROFILE", default="quick",
                    help="quick (default) or full")
    group.addoption("--refot-strict", action="store_true",
                    help="failures that the code itself reports, and bad input that is answered "
                    "with a number, fail too: as `refot verify --strict`")
    group.addoption("--refot-skip", metavar="FILE", help="a list of checks that are not run")
    group.addoption("--refot-xfail", metavar="FILE", help="a list of checks that are to fail")


def pytest_configure(config: Any) -> None:
    """Load the plugin if one of its options is used."""
    if any(config.getoption(f"refot_{name}") for name in ("subject", "command", "skip", "xfail")):
        from .plugin import register

        register(config)
