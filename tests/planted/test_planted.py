"""Does the suite find bugs? Each of bugs.py is planted in a copy of the tree, and its test must fail there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS
from tests.planted.history_bugs import TABLE
from tests.planted.warm import KILLED, Done, Warm

ROOT = Path(__file__).parents[2]
FOLDERS = ("protocols", "actorkube", "actors", "bench", "tests", "examples")
FILES = ("pyproject.toml", "README.md", "ARCHITECTURE.md")
HANGS_S = 30  # where a bug makes its test hang, the test fails after this time
TIMEOUT_S = 100
ALL_TIMEOUT_S = 900
HIDDEN = ("PYTEST_", "COV_")
LENGTHENS = ("CI", "BUILD_NUMBER")  # where pytest finds one, it shows differences in full: of large values for minutes

each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that the tests need. Its bytecode knows its sources by their content, so no bug goes unnoticed."""
    copy = tmp_path_factory.mktemp("planted")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    compile_all = ("-m", "compileall", "-q", "--invalidation-mode", "checked-hash", *FOLDERS[:3])
    subprocess.run([sys.executable, *compile_all], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="session")
def warm(tree: Path) -> Iterator[Warm]:
    process = Warm(tree, environment(tree))
    yield process
    process.close()


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the tests of one run have theirs; its name is short, because a socket's may have 107 bytes."""
    directory = tmp_path_factory.mktemp("p")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)  # what a run that was killed has left may go on writing


@pytest.fixture
def planted(tree: Path, bug: Bug) -> Iterator[None]:
    """The copy with the bug in it; afterwards it is whole again."""
    path = tree / bug.file
    text = path.read_text()
    assert text.count(bug.old) == 1, f"{bug.file} has changed: choose another fragment, or another bug"
    path.write_text(text.replace(bug.old, bug.new))
    yield
    path.write_text(text)


@each_bug
def test_every_bug_has_its_place_and_its_test(bug: Bug) -> None:
    file, _, test = bug.test.partition("::")

    text = (ROOT / bug.file).read_text()

    assert text.count(bug.old) == 1
    if bug.file.endswith(".py"):
        compile(text.replace(bug.old, bug.new), bug.file, "exec")  # else anything finds it
    assert (ROOT / file).is_file()
    assert not test or re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_no_bug_is_listed_twice_and_every_component_has_some() -> None:
    components = {path.name for path in (ROOT / "actors").iterdir() if (path / "__init__.py").exists()}

    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert components - {bug.file.split("/")[1] for bug in BUGS} == set()


@pytest.mark.planted
@pytest.mark.timeout(ALL_TIMEOUT_S + 60)
def test_without_a_bug_there_is_nothing_to_find(warm: Warm, files: Path) -> None:
    done = warm.run(*dict.fromkeys(bug.test for bug in BUGS), files=files, timeout_s=ALL_TIMEOUT_S)

    assert done.status == pytest.ExitCode.OK, done.output


@pytest.mark.planted
@each_bug
@pytest.mark.usefixtures("planted")
def test_the_suite_finds(bug: Bug, warm: Warm, files: Path) -> None:
    done = warm.run(f"--timeout={HANGS_S}", bug.test, files=files, timeout_s=TIMEOUT_S)

    assert done.status == pytest.ExitCode.TESTS_FAILED or failed_and_hung(done), f"nobody noticed:\n{done.output}"
    assert re.search(r"^(1 failed|F$)", done.output, re.MULTILINE), f"it failed before it began:\n{done.output}"


def failed_and_hung(done: Done) -> bool:
    """The test has failed; what the bug has left over then kept the run from ending."""
    return done.status == KILLED and done.output.startswith("F")


def environment(tree: Path) -> dict[str, str]:
    """Other plugins than those of `warm` would take longer to load than most tests run."""
    ours = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ours["ACTORKUBE_TESTS"] = "planted"
    inherited = {key: value for key, value in os.environ.items() if not (key.startswith(HIDDEN) or key in LENGTHENS)}
    return {**inherited, **ours}


def test_the_table_of_bugs_that_others_have_had_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "etcd.md").read_text()

    for row in TABLE:
        assert f"| {row.reports} | {row.bug.name.removeprefix('history: ')} |" in page
