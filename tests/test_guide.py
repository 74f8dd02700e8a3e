"""The guide is true: its code is the example's, and its commands print what it says.

They are typed into a shell in an empty directory beside the repository. Only the installation itself is left out: what
it would bring is looked up.
"""

from __future__ import annotations

import ast
import os
import re
import selectors
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(GUIDE)
CODE = [(title, text) for language, title, text in BLOCKS if language == "python"]
COMMANDS = [line for language, _, text in BLOCKS if language == "sh" for line in text.splitlines()]
WITHIN_S = 300.0  # a line, on a machine that does a lot else
INSTALL = "pip install '../actorkube[test]'"
SLOW_START_S = 20  # what takes a second on a machine of its own
IN_BACKGROUND = "counting on port"
END = "and that was all, with"


@pytest.mark.parametrize(("title", "text"), CODE, ids=[title for title, _ in CODE])
def test_the_code_of_the_guide_is_the_example(title: str, text: str) -> None:
    assert (ROOT / "examples" / "counter" / title).read_text() == text


def test_what_the_code_of_the_guide_imports_is_what_its_installation_brings() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in brought}
    ours = {"actorkube", "protocols", *(title.removesuffix(".py") for title, _ in CODE)}

    imported = {name.partition(".")[0] for _, text in CODE for name in imports(text)}

    assert INSTALL in COMMANDS
    assert "pytest" in names, "the guide runs it"
    assert imported - set(sys.stdlib_module_names) - ours <= names


def imports(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


class Shell:
    """A bash that is typed into."""

    def __init__(self, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.directory = directory
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=directory,
            env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.bash.stdout is not None
        self.output = self.bash.stdout
        self.came = selectors.DefaultSelector()
        self.came.register(self.output, selectors.EVENT_READ)
        self.type("set -m")  # with jobs, as where somebody types

    def run(self, line: str) -> tuple[int, str]:
        """The exit code and what was printed on standard output, but for what those in the background print."""
        if line == INSTALL:
            self.install()
            return 0, ""
        self.type(line.replace("7400", str(self.port)).replace("timeout 3 ", f"timeout {SLOW_START_S} "))
        self.type(f"echo {END} $?")
        text, until = "", time.monotonic() + WITHIN_S
        while (end := re.search(rf"^{END} (\d+)$", text, re.MULTILINE)) is None:
            assert self.came.select(until - time.monotonic()), f"{line}: not done after {WITHIN_S} s"
            piece = os.read(self.output.fileno(), 65536).decode()
            assert piece, f"{line}: the shell has ended"
            text += piece
        printed = text[: end.start()].splitlines()
        return int(end[1]), "\n".join(said for said in printed if not said.startswith(IN_BACKGROUND)).strip()

    def type(self, line: str) -> None:
        assert self.bash.stdin is not None
        self.bash.stdin.write(f"{line}\n".encode())
        self.bash.stdin.flush()

    def install(self) -> None:
        """The guide's environment sees what this one has, and the sources."""
        (packages,) = (self.directory / "mine" / ".venv" / "lib").glob("python3*/site-packages")
        (packages / "here.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")

    def end(self) -> None:
        self.type("kill -9 $(jobs -p) 2>/dev/null; exit")
        self.bash.wait(WITHIN_S)
        self.came.close()
        for pipe in (self.bash.stdin, self.bash.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "actorkube").symlink_to(ROOT)
    shell = Shell(tmp_path)
    yield shell
    shell.end()


@pytest.mark.slow
@pytest.mark.timeout(15 * 60)
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

    assert len(COMMANDS) > 15
    assert time.monotonic() - begin < 15 * 60
