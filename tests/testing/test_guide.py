"""docs/testing.md does what it says: its code is run as a user's tests, with its ini file and its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.runs import ALONE

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall((ROOT / "docs" / "testing.md").read_text()) if found == language]


@pytest.mark.cluster
@pytest.mark.parametrize("command", [line for text in blocks("sh") for line in text.splitlines()] or [""])
def test_every_block_of_the_guide_passes_with_the_guides_own_command(command: str, tmp_path: Path) -> None:
    for number, text in enumerate(blocks("python")):
        (tmp_path / f"test_block_{number}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("".join(blocks("ini")))
    program, *arguments = command.split()

    done = subprocess.run(
        [sys.executable, "-m", program, *ALONE, "-q", "-Werror", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert program == "pytest"
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(blocks("python")) >= 6
    assert "skipped" not in done.stdout


def test_the_guide_names_every_fixture_of_the_plugin() -> None:
    plugin = (ROOT / "actorkube" / "testing" / "plugin.py").read_text()
    fixtures = re.findall(r"^@pytest\.fixture.*\ndef (\w+)", plugin, re.MULTILINE)
    guide = (ROOT / "docs" / "testing.md").read_text()

    assert len(fixtures) >= 7
    assert [name for name in fixtures if f"`{name}`" not in guide] == []
