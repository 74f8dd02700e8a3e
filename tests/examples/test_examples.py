"""The examples that users copy: each is run as they would run it, and is as short as is claimed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TESTED = sorted(path for path in EXAMPLES.glob("*/test_*.py"))
OPERATORS = [path for path in TESTED if path.parent.name in ("actor", "client", "kopf_operator")]
LINES_MAX = 9
PLUGINS = ("-p", "actorkube.testing.plugin", "-p", "no:actorkube", "-p", "no:cacheprovider", "-p", "no:randomly")


@pytest.mark.cluster
@pytest.mark.parametrize("path", TESTED, ids=lambda path: path.parent.name)
def test_an_example_passes_its_test_as_a_user_runs_it(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(path.parent), *PLUGINS, path.name],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("path", OPERATORS, ids=lambda path: path.parent.name)
def test_an_operator_is_tested_in_under_ten_lines(path: Path) -> None:
    tests = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert tests
    assert [f.name for f in tests if (f.end_lineno or 0) - f.body[0].lineno + 1 > LINES_MAX] == []


def test_there_is_one_for_each_way_to_write_an_operator() -> None:
    assert len(OPERATORS) == 3
