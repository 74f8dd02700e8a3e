"""Runs of pytest inside a test: with which plugins, and with what is imported already."""

from __future__ import annotations

import hypothesis
import pytest

from actorkube.testing import Cluster

ALONE = ("-p", "actorkube.testing.plugin", "-p", "no:actorkube", "-p", "no:asyncio", "-p", "no:xdist")
WITH_ASYNCIO = (*ALONE[:4], "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """What is imported before a run inside this process stays imported, and is not compiled anew for each."""
    assert hypothesis.__version__
    Cluster(nodes=1, etcd=1).close()
