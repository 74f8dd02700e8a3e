"""What docs/transports.md shows is true: its code is run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "transports.md"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("transports_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # messages are known by their module
    exec("\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)), module.__dict__)
    return module


async def test_systems_meet_under_certificates_which_change(page: ModuleType, tmp_path: Path) -> None:
    await page.with_certificates(tmp_path / "pki")

    assert {"ca.crt", "ca.key", "door.crt", "door.key"} <= {file.name for file in (tmp_path / "pki").iterdir()}


async def test_systems_meet_on_a_unix_socket(page: ModuleType, tmp_path: Path) -> None:
    await page.over_a_unix_socket(tmp_path)

    assert (tmp_path / "door.sock").is_socket()
