"""A pytest item whose `cluster` fixture forks: its test runs in a copy of this process, its reports come back.

The copy is made when the fixture is asked for: what was set up before is torn down here, what is set up after lives
and ends in the copy, so every fixture is torn down once, where it should be. Reports (text of exceptions, captured
output, log, properties), warnings and coverage come back; nothing else does, and so no state leaks.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.outcomes import Skipped
from _pytest.runner import runtestprotocol

from actorkube.testing.fork import CopyDied, Fork

FORK: pytest.StashKey[Fork] = pytest.StashKey()


class Elsewhere(Skipped):
    """Ends the item's setup in the original; nobody sees it, for the reports of the copy take its place."""


class Copy:
    """What lives only in the copy: what it collects to be sent back."""

    def __init__(self) -> None:
        self._catching = warnings.catch_warnings(record=True)  # never left: the copy ends before
        self._warnings = self._catching.__enter__()
        self._coverage = Coverage.begin()

    def message(self, config: pytest.Config, reports: Sequence[pytest.TestReport], exit: str | None) -> bytes:
        packed = [config.hook.pytest_report_to_serializable(config=config, report=report) for report in reports]
        warned = [_plain_warning(warning) for warning in self._warnings or ()]
        coverage = self._coverage.end() if self._coverage is not None else ""
        return _pickled((packed, warned, coverage, exit))


COPY: pytest.StashKey[Copy] = pytest.StashKey()


def run_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """In the place of pytest's own protocol for one item. True: it has been run."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    fork = item.stash[FORK] = Fork()
    exit = None
    reports: list[pytest.TestReport] = []
    try:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    except BaseException as error:
        if not fork.is_copy:
            raise
        exit = str(error) or type(error).__name__
    if fork.is_copy:
        fork.finish(item.stash[COPY].message(item.config, reports, exit))
    if fork.message:
        reports = _of_the_copy(item, fork.message, reports)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def split(item: pytest.Item, fork: Fork) -> None:
    """Returns in the copy; raises Elsewhere in the original, when the test is over."""
    died = ""
    try:
        if not fork.split():
            raise Elsewhere("run in a copy of this process")
    except CopyDied as death:
        died = str(death)
    if died:
        pytest.fail(f"the process of this test died: {died}", pytrace=False)
    item.stash[COPY] = Copy()
    for finalizers, _ in item.session._setupstate.stack.values():
        finalizers.clear()


def _of_the_copy(item: pytest.Item, message: bytes, own: Sequence[pytest.TestReport]) -> list[pytest.TestReport]:
    packed, warned, coverage, exit = pickle.loads(message)
    hook = item.config.hook
    reports = [hook.pytest_report_from_serializable(config=item.config, data=data) for data in packed]
    for text, category, filename, lineno in warned:
        _warn_again(text, category, filename, lineno)
    if coverage:
        Coverage.take(Path(coverage))
    if exit is not None:
        pytest.exit(exit)
    failed_here = [report for report in own if report.when == "teardown" and report.failed]
    return [report for report in reports if not (failed_here and report.when == "teardown")] + failed_here


# -- warnings ---------------------------------------------------------------------------------------------------------


def _plain_warning(warning: warnings.WarningMessage) -> tuple[str, type[Warning], str, int]:
    category = warning.category
    try:
        pickle.loads(pickle.dumps(category))
    except Exception:  # a class inside a function, or of a module that is not importable by name
        category = UserWarning
    return str(warning.message), category, warning.filename, warning.lineno


def _warn_again(text: str, category: type[Warning], filename: str, lineno: int) -> None:
    """It passed the filters in the copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn_explicit(text, category, filename, lineno)


def _pickled(message: Any) -> bytes:
    try:
        return pickle.dumps(message)
    except Exception:  # a property of a report that cannot travel: everything else of it can
        return pickle.dumps(_plain(message))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(inner) for inner in value)
    return value if isinstance(value, str | int | float | bool | type | None) else repr(value)


# -- coverage ---------------------------------------------------------------------------------------------------------


class Coverage:
    """Measures in the copy, where the original is measured: into a file of its own, which the original takes in."""

    def __init__(self, inner: Any, file: Path) -> None:
        self._inner = inner
        self._file = file

    @classmethod
    def begin(cls) -> Coverage | None:
        module = sys.modules.get("coverage")
        outer = module.Coverage.current() if module is not None else None
        if module is None or outer is None:
            return None
        outer.stop()
        file = Path(tempfile.mkdtemp(prefix="actorkube-coverage-")) / "data"
        config = outer.config.config_file or False
        inner = module.Coverage(data_file=str(file), config_file=config, branch=outer.get_option("run:branch"))
        inner.start()
        return cls(inner, file)

    def end(self) -> str:
        self._inner.stop()
        self._inner.save()
        return str(self._file)

    @staticmethod
    def take(file: Path) -> None:
        module = sys.modules["coverage"]
        outer = module.Coverage.current()
        if outer is not None and file.exists():
            measured = module.CoverageData(basename=str(file))
            measured.read()
            outer.get_data().update(measured)
            measured.close()
            file.unlink()
            file.parent.rmdir()
