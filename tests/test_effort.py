"""What decides whether a change lands draws the same examples, whatever else stands in the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from hypothesis.internal.conjecture import providers
from tests import effort
import told
effort.set_default()
print(987654321 in providers._get_local_constants().integers)
"""


def drawn_from(path: Path, **variables: str) -> str:
    """Whether a constant of a module that is loaded is among what is drawn."""
    (path / "told.py").write_text("NUMBER = 987654321\n")
    root = str(Path(__file__).parents[1])
    environment = {"PYTHONPATH": f"{path}:{root}", "PATH": "", **variables}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


def test_what_else_stands_in_the_code_decides_no_example_of_the_gate(tmp_path: Path) -> None:
    assert drawn_from(tmp_path) == "True"  # as Hypothesis does it by itself
    assert drawn_from(tmp_path, ACTORKUBE_CI="1") == "False"
