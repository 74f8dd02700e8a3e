"""The package's own pytest plugin, also where plugins of installed packages are not loaded."""

from __future__ import annotations

import pytest

from actorkube.testing import plugin
from tests import effort

pytest_plugins = ["pytester"]
effort.set_default()


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "actorkube")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers a file's tests share one, and so its clusters. Planted bugs stand for themselves."""
    if hasattr(config, "workerinput"):
        for item in items:
            if item.get_closest_marker("planted") is None:
                item.add_marker(pytest.mark.xdist_group(item.path.relative_to(config.rootpath).as_posix()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why a test failed that then passed (`--reruns`): it is to be mended, not forgotten."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed once: {report.nodeid} ({report.when})", sep="_")
        terminalreporter.line(report.longreprtext)
