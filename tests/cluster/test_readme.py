"""Every command of the README does what it says, in the order in which a reader types them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.kubectl import kubectl_binaries, require_kubectl
from tests.cluster.live import LiveCluster

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
KILL = re.compile(r"pkill -9 -f 'actorkube: ([\w-]+)'")


def typed_commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_the_commands_for_another_terminal_work_one_after_the_other(tmp_path: Path) -> None:
    require_kubectl()
    cluster = LiveCluster(tmp_path).start()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(list(kubectl_binaries().values())[-1])
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path), "PATH": path}
    printed = {}
    try:
        for command in typed_commands():
            if kill := KILL.fullmatch(command):
                cluster.kill(kill[1])  # by id: another cluster on this machine has processes of the same name
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
            printed[command] = done.stdout
    finally:
        cluster.stop()

    assert len(printed) >= 10
    assert "Hello from web-" in next(text for command, text in printed.items() if command.startswith("curl"))


def test_the_named_processes_exist(cluster: LiveCluster) -> None:
    named = set(re.findall(r"pkill -9 -f 'actorkube: ([\w-]+)'", README))

    assert named <= cluster.pids().keys()


def test_every_subcommand_and_option_that_the_readme_names_exists() -> None:
    helps = {
        name: subprocess.run(
            [sys.executable, "-m", "actorkube", *name.split(), "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("cluster", "run", "sim", "time", "top", "trace", "why", "whatif", "etcd serve")
    }
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--replicas"}

    assert [option for option in sorted(options) if not any(option in text for text in helps.values())] == []


def test_the_output_that_the_readme_shows_is_what_is_printed(cluster: LiveCluster) -> None:
    shown = re.search(r"```\n(✓.*?)```", README, re.S)
    assert shown is not None

    def shape(text: str) -> list[str]:
        """The words of each line; numbers, paths and the order of the steps differ from run to run."""
        lines = [re.sub(r"/\S+|\d+(\.\d+)?s?", "#", line) for line in text.splitlines() if line.strip()]
        return sorted(" ".join(line.split()).replace(" (removed at the end)", "") for line in lines)

    assert shape(shown[1]) == shape("\n".join(cluster.output))


def test_the_two_commands_are_those_of_the_script() -> None:
    usage = subprocess.run(["./dev"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for command in ("./dev cluster", "./dev test-all", "./dev test", "./dev soak"):
        assert command in README
        assert command in usage
