"""Where the process backend keeps things. Everything of a pod is below one directory, and goes with it; volumes that
outlive pods are beside:

pods/<uid>/sandbox-<attempt>.json
pods/<uid>/volumes/<volume>/
pods/<uid>/containers/<name>-<sandbox attempt>.<attempt>/   state.json, container.log, container.log.1, root/
volumes/<persistent volume>/
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from actors.runtime.launch import Link
from actors.runtime.ledger import Container, Sandbox
from actors.runtime.records import Leftover, encode_container, encode_sandbox, ended_container, ended_sandbox
from protocols.cri import ContainerRefused
from protocols.csi import name_of_volume


class NodeDirectory:
    def __init__(self, path: Path) -> None:
        self._pods = path / "pods"
        self._volumes = path / "volumes"
        self._trash = path / "trash"
        self._thrown = 0
        self._emptying = False
        self.leftovers: dict[str, Leftover] = {}  # what ran when an earlier life ended; known after `restore`

    def open(self) -> None:
        for directory in (self._pods, self._trash):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thrown = max((int(entry.name) for entry in self._trash.iterdir() if entry.name.isdigit()), default=0)

    def pod(self, uid: str) -> Path:
        return self._pods / _part(uid)

    def volume(self, uid: str, volume: str) -> Path:
        return self.pod(uid) / "volumes" / _part(volume)

    def persistent(self, volume_id: str) -> Path:
        return self._volumes / _part(name_of_volume(volume_id))

    def container(self, container: Container) -> Path:
        attempts = f"{container.sandbox.config.metadata.attempt}.{container.config.metadata.attempt}"
        return self.pod(container.sandbox.uid) / "containers" / f"{_part(container.name)}-{attempts}"

    def root(self, container: Container) -> Path:
        return self.container(container) / "root"

    def log(self, container: Container) -> Path:
        return self.container(container) / "container.log"

    def make_root(self, container: Container, links: Iterable[Link]) -> None:
        root = self.root(container)
        root.mkdir(parents=True, exist_ok=True)
        for link in links:
            path, target = root / link.path, Path(link.target)
            if not target.exists():
                target.mkdir(parents=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)

    def write(self, container: Container, path: str, data: bytes) -> None:
        """A file in the container's root, for its eyes only."""
        target = self.root(container) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def save_sandbox(self, sandbox: Sandbox) -> None:
        path = self.pod(sandbox.uid) / f"sandbox-{sandbox.config.metadata.attempt}.json"
        _replace(path, encode_sandbox(sandbox))

    def save_container(self, container: Container, process: Leftover | None) -> None:
        _replace(self.container(container) / "state.json", encode_container(container, process))

    def remove_sandbox(self, sandbox: Sandbox) -> None:
        (self.pod(sandbox.uid) / f"sandbox-{sandbox.config.metadata.attempt}.json").unlink(missing_ok=True)

    def throw_away(self, path: Path) -> None:
        """It is gone at once; `empty_trash` then takes as long as it takes."""
        if path.exists():
            self._thrown += 1
            path.rename(self._trash / str(self._thrown))

    async def empty_trash(self) -> None:
        if self._emptying:
            return
        self._emptying = True
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._empty_trash)
        finally:
            self._emptying = False

    def _empty_trash(self) -> None:
        while entries := list(self._trash.iterdir()):
            for entry in entries:
                shutil.rmtree(entry, ignore_errors=True)
            if list(self._trash.iterdir()) == entries:
                return  # what cannot be removed waits for the next start

    def restore(self, now: float) -> Iterator[Sandbox]:
        """What an earlier life wrote down, as ended. A pod directory without a readable record is thrown away."""
        for pod in sorted(self._pods.iterdir()):
            sandboxes = list(self._restore_pod(pod, now))
            if not sandboxes:
                self.throw_away(pod)
            yield from sandboxes

    def _restore_pod(self, pod: Path, now: float) -> Iterator[Sandbox]:
        for path in sorted(pod.glob("sandbox-*.json")):
            try:
                sandbox = ended_sandbox(path.read_bytes())
            except msgspec.MsgspecError:
                path.unlink()
                continue
            self._restore_containers(pod, sandbox, now)
            yield sandbox

    def _restore_containers(self, pod: Path, sandbox: Sandbox, now: float) -> None:
        for path in sorted(pod.glob(f"containers/*-{sandbox.config.metadata.attempt}.*/state.json")):
            try:
                container, process = ended_container(path.read_bytes(), sandbox, now)
            except msgspec.MsgspecError:
                self.throw_away(path.parent)
                continue
            sandbox.containers[container.id] = container
            if process is not None:
                self.leftovers[container.id] = process


def _part(name: str) -> str:
    """One step of a path; names come from the API, whose rules make them safe, and are not trusted all the same."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ContainerRefused(f"{name!r} cannot be the name of a directory", {"reason": "CreateContainerError"})
    return name


def _replace(path: Path, data: bytes) -> None:
    """Readers see the old record or the new one. Not synced: after a power cut nothing of this runs any more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_bytes(data)
    beside.rename(path)
