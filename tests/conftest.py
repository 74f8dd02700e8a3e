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
