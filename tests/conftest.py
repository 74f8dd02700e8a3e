"""The package's own pytest plugin, also where plugins of installed packages are not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actorkube.testing import plugin
from tests import effort

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling

pytest_plugins = ["pytester"]
effort.set_default()


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "actorkube")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.by_file import ByFile

    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why a test failed that then passed (`--reruns`): it is to be mended, not forgotten."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed once: {report.nodeid} ({report.when})", sep="_")
        terminalreporter.line(report.longreprtext)
