"""The site can be built: every link leads somewhere, every page is found, every name of the reference exists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import actorkube.runtime

ROOT = Path(__file__).parent.parent


def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path),
    ]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    pages = {path.name for path in tmp_path.glob("*.html")}
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= pages
    assert (
        "refuses the request" in (tmp_path / "reference.html").read_text().lower()
        or "Raising an" in (tmp_path / "reference.html").read_text()
    )


def test_the_reference_names_what_users_import() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    values = {"LATER", "DiskFull"}  # told where they are used

    missing = [
        n for n in actorkube.runtime.__all__ if n not in values and f"::: actorkube.runtime.{n}\n" not in reference
    ]

    assert missing == []
