from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.apiserver.world import World, world


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[World]:
    """An API server before a real store of one replica."""
    async with world(tmp_path) as here:
        yield here
