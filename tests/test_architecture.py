"""Rules that a person would have to remember: the map is true, the layers hold, nothing is left over."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.controllers import ALL

ROOT = Path(__file__).parent.parent
PACKAGES = ("protocols", "actorkube", "actors")
NOT_PURE = {"asyncio", "time", "random", "socket", "subprocess", "threading", "uvloop"}
# Files of components that may wait, beside actor.py: each is a shell around one thing of the outside world.
MENTION = re.compile(r"`([\w./]+\.py)`: ((?:`[\w.]+`(?:, )?)+)")


def sources(*packages: str) -> Iterator[Path]:
    for package in packages or PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def names_in(path: Path) -> set[str]:
    """Classes, functions, and methods as Class.method, that a file defines or hands on."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{method.name}" for method in inner}
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def mentions() -> list[tuple[str, str]]:
    """(file, name) pairs of the map; a file without its folder is in the folder of the one before it on the line."""
    found = []
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        folder = Path()
        for file, names in MENTION.findall(line):
            path = resolve(file, folder)
            folder = path.parent
            found += [(str(path), name) for name in re.findall(r"`([\w.]+)`", names)]
    return found


def resolve(file: str, folder: Path) -> Path:
    """As a reader would: from the root, else beside the file before it, else beside one of its parents."""
    for base in (Path(), folder, *folder.parents, Path("actors"), Path("actorkube")):
        if (ROOT / base / file).exists():
            return base / file
    return Path(file)


@pytest.mark.parametrize(("file", "name"), mentions())
def test_every_place_that_the_map_names_exists(file: str, name: str) -> None:
    assert (ROOT / file).exists()
    assert name in names_in(ROOT / file)


def test_the_map_names_every_component() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    components = [path.name for path in (ROOT / "actors").iterdir() if path.is_dir() and path.name != "__pycache__"]

    assert [name for name in components if f"actors/{name}/" not in text] == []
    assert len(mentions()) > 60


def test_what_decides_neither_waits_nor_reads_the_clock_nor_draws_lots() -> None:
    """A file of a component without `async` in it imports nothing that would let it."""
    offenders = []
    for path in sources("actors", "protocols"):
        tree = ast.parse(path.read_text())
        waits = any(
            isinstance(n, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith) for n in ast.walk(tree)
        )
        if waits or path.name == "cluster.py":
            continue
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        impure = calls & {"time.time", "time.monotonic", "random.random", "random.choice", "uuid.uuid4", "os.urandom"}
        offenders += [f"{path.relative_to(ROOT)}: {call}" for call in impure]

    assert offenders == []


def test_the_start_that_the_readme_shows_counts_all_controllers() -> None:
    shown = re.findall(r"controller-manager +(\d+) controllers", (ROOT / "README.md").read_text())

    assert str(len(ALL)) in shown


def test_nothing_is_left_over() -> None:
    """No work notes, and no path of one machine."""
    note = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError\(\)|(?<![\w.])/(work|farm|root)/")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    offenders = [
        f"{name}:{number}: {line.strip()}"
        for name in listed
        if name.endswith((".py", ".md", ".yaml", ".toml", ".txt")) and name != "tests/test_architecture.py"
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if note.search(line)
    ]

    assert offenders == []


def test_files_stay_small_enough_to_hold_one_noun() -> None:
    long = [f"{p.relative_to(ROOT)}: {n}" for p in sources() if (n := len(p.read_text().splitlines())) > 500]

    assert long == []


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}

    assert [str(p) for p in sources() if p.name in drawers] == []
