"""An API server with so few seats that a level with one share has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.apiserver.rest_client import Rest, rest

SEATS = 10


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    """Everybody may do everything, and shares a level with one seat once a test has made it."""
    async with rest(tmp_path, seats=SEATS) as client:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        everybody = [{"kind": "Group", "name": "system:authenticated"}]
        binding = {"metadata": {"name": "all"}, "roleRef": reference, "subjects": everybody}
        await client.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        yield client
