"""A machine with nothing but Python and git: one command sets everything up and ends in a running cluster."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_first_command_of_the_readme_works_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    command = ["./dev", "cluster", "--nodes", "1", "--kubeconfig", str(tmp_path / "kubeconfig")]

    process = subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert lines[-1].startswith("Ctrl-C"), "".join(lines)
    assert process.returncode == 0
    assert (tmp_path / "kubeconfig").exists()
