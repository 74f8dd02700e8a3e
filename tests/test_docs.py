"""The site can be built: every link leads somewhere, every page is found, every name of the reference exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import actorkube.runtime

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_site_is_built_strictly_and_holds_what_users_import(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    pages = {path.name for path in tmp_path.glob("*.html")}
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= pages
    told = set(re.findall(r'id="actorkube\.runtime\.(\w+)"', (tmp_path / "reference.html").read_text()))
    assert set(actorkube.runtime.__all__) - told == set()
