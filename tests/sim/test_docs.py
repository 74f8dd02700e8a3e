"""docs/simulation.md says what is true: its files and commands are tried, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT_CODE = re.compile(r"# exit code (\d)")


@pytest.mark.slow
@pytest.mark.timeout(300)  # a dozen interpreters are started, one after the other
def test_every_file_and_command_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/simulation.md").read_text()
    commands = 0
    for kind, text in BLOCK.findall(page):
        if kind == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).write_text(text)
            continue
        for line in text.splitlines():
            expected = EXIT_CODE.search(line)
            done = run(line.partition("  #")[0], tmp_path)
            assert done.returncode == int(expected[1] if expected else 0), f"{line}\n{done.stdout}\n{done.stderr}"
            commands += 1

    assert commands >= 10
    assert (tmp_path / "seven.trace").exists()


def run(line: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = f"{ROOT}:{directory}"
    return subprocess.run(line, shell=True, cwd=directory, env=environment, capture_output=True, text=True, timeout=100)
