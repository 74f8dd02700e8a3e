"""The client library of JavaScript programs, @kubernetes/client-node from npm, unchanged, against a live cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.live import LiveCluster

SESSION = Path(__file__).parent / "client_node" / "session.mjs"
PACKAGE = "@kubernetes/client-node@1"


def unavailable(reason: str) -> None:
    if os.environ.get("ACTORKUBE_CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, in a folder that has the library."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        unavailable("node and npm are not installed (Debian, Ubuntu: apt install nodejs npm)")
    directory = tmp_path_factory.mktemp("client-node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(directory), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=directory)
    if done.returncode != 0:
        unavailable(f"npm cannot install {PACKAGE}: {done.stderr.strip()[-500:]}")
    return Path(shutil.copy(SESSION, directory / SESSION.name))


@pytest.mark.timeout(420)
def test_a_session_of_the_javascript_client(cluster: LiveCluster, program: Path) -> None:
    cluster.kubectl()("create", "namespace", "javascript")

    command = ["node", str(program), str(cluster.kubeconfig), "javascript"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=program.parent)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["listed"] == ["generic", "typed"]
    assert seen["patched"] == {"x": "2", "y": "3"}
    assert (seen["applied"]["manager"], seen["applied"]["operation"]) == ("script", "Apply")
    changes = [["MODIFIED", "typed"], ["MODIFIED", "typed"], ["ADDED", "applied"], ["DELETED", "generic"]]
    assert seen["events"] == changes
    assert seen["missing"] == {"code": 404, "reason": "NotFound"}
    assert seen["informed"] == "informed"
    assert seen["phases"] == ["Running", "Running"]
    assert seen["log"] == "hello from the pod\n"
    assert seen["exec"]["output"] == "through stdin\ndone\n"
    assert seen["exec"]["status"] == "Failure"
    assert seen["exec"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
