"""One real cluster for all tests that only use it; tests that break things start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.live import LiveCluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    live = LiveCluster(tmp_path_factory.mktemp("cluster")).start()
    yield live
    assert live.stop() == 0


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[Callable[..., LiveCluster]]:
    started: list[LiveCluster] = []

    def start(*options: str) -> LiveCluster:
        live = LiveCluster(tmp_path, *options)
        started.append(live)
        return live.start()

    yield start
    for live in started:
        live.stop()
