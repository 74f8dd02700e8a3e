"""`./dev setup` takes the Python that was built to be fast, of those that the machine has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Says how it was built, notes what it is asked for, and makes an environment whose Python does the same.
PYTHON = """#!/bin/sh
case $* in
*sysconfig*) echo True {optimised} ;;
*ensurepip*) exit {without_pip} ;;
*) echo "{name} $*" >>"{log}" ;;
esac
case $* in *venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    at = tmp_path / "checkout"
    at.mkdir()
    for name in ("dev", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, at)
    return at


def add_python(checkout: Path, name: str, *, optimised: bool, without_pip: bool = False) -> None:
    commands = checkout.parent / "bin"
    commands.mkdir(exist_ok=True)
    log = checkout.parent / "log"
    text = PYTHON.format(optimised=optimised, without_pip=int(without_pip), name=name, log=log)
    (commands / name).write_text(text)
    (commands / name).chmod(0o755)


def set_up(checkout: Path) -> list[str]:
    environment = {"PATH": f"{checkout.parent / 'bin'}:{checkout.parent / 'tools'}"}
    tools = checkout.parent / "tools"
    tools.mkdir()
    for tool in ("sh", "cat", "cksum", "tr", "dirname", "rm", "mkdir", "cp"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    subprocess.run(["./dev", "setup"], cwd=checkout, env=environment, check=True, capture_output=True)
    return (checkout.parent / "log").read_text().splitlines()


def test_an_optimised_python_is_taken_before_a_newer_one_that_is_not(checkout: Path) -> None:
    add_python(checkout, "python3.14", optimised=False)
    add_python(checkout, "python3.13", optimised=True)
    assert set_up(checkout)[0] == "python3.13 -m venv .venv"


def test_the_newest_of_those_that_are_optimised_is_taken(checkout: Path) -> None:
    for name in ("python3.12", "python3.13", "python3.11"):
        add_python(checkout, name, optimised=True)
    assert set_up(checkout)[0] == "python3.13 -m venv .venv"


def test_a_python_that_came_without_pip_borrows_anothers(checkout: Path) -> None:
    add_python(checkout, "python3.14", optimised=True, without_pip=True)
    asked = set_up(checkout)
    assert asked[0] == "python3.14 -m venv --without-pip .venv"
    assert asked[1].startswith("python3.14 -m pip --python .venv/bin/python install")
