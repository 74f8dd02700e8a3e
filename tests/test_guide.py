"""The guide is true: its code is the example's, and its commands, run one after the other, print what it says."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(GUIDE)
CODE = [(title, text) for language, title, text in BLOCKS if language == "python"]
COMMANDS = [line for language, _, text in BLOCKS if language == "sh" for line in text.splitlines()]
WITHIN_S = 60.0


@pytest.mark.parametrize(("title", "text"), CODE, ids=[title for title, _ in CODE])
def test_the_code_of_the_guide_is_the_example(title: str, text: str) -> None:
    assert (ROOT / "examples" / "counter" / title).read_text() == text


class Shell:
    """Runs the guide's lines: in the background behind an `&`, with `%1` for the first such process."""

    def __init__(self, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.directory = directory
        self.background: list[subprocess.Popen[bytes]] = []
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, line: str) -> tuple[int, str]:
        """The exit code and what was printed on standard output."""
        line = line.replace("7400", str(self.port))
        if line.startswith("cd "):
            self.directory /= line.removeprefix("cd ")
            return 0, ""
        if line.endswith("&"):
            self._begin(line.removesuffix("&").split())
            return 0, ""
        for number, process in enumerate(self.background, 1):
            line = line.replace(f"%{number}", str(process.pid))
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=WITHIN_S,
        )
        return done.returncode, done.stdout.strip()

    def _begin(self, command: list[str]) -> None:
        """Until it says that it has begun, as a reader would wait."""
        process = subprocess.Popen(command, cwd=self.directory, env=self.environment, stdout=subprocess.PIPE)
        self.background.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"counting")

    def end(self) -> None:
        for process in self.background:
            process.kill()
            process.wait(WITHIN_S)
            process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shell = Shell(tmp_path)
    yield shell
    shell.end()


@pytest.mark.slow
def test_the_commands_of_the_guide_do_what_it_says(shell: Shell) -> None:
    begin = time.monotonic()

    for line in COMMANDS:
        command, _, expected = line.partition("  # ")
        code, printed = shell.run(command)
        if expected == "fails":
            assert code == pytest.ExitCode.TESTS_FAILED, line
        elif expected:
            assert printed == expected.removeprefix("prints "), line
        else:
            assert code == 0, line

    assert len(COMMANDS) > 10
    assert time.monotonic() - begin < 15 * 60
