"""What the kubelet finds out about the machine it runs on; a simulated node has a made-up one."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import NamedTuple

_OS_RELEASE = Path("/etc/os-release")
_MACHINE_ID = Path("/etc/machine-id")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


class Machine(NamedTuple):
    cpus: int = 8
    memory_bytes: int = 32 * 1024**3
    storage_bytes: int = 100 * 1024**3
    operating_system: str = "linux"
    architecture: str = "amd64"
    os_image: str = "ActorKube simulation"
    kernel_version: str = "simulated"
    machine_id: str = ""
    boot_id: str = ""


SIMULATED = Machine()


def read_machine() -> Machine:
    """All of it: nodes that share a machine do not divide it."""
    return Machine(
        cpus=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        storage_bytes=_storage_bytes(),
        operating_system=platform.system().lower(),
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        os_image=_os_image(),
        kernel_version=platform.release(),
        machine_id=_line(_MACHINE_ID),
        boot_id=_line(_BOOT_ID),
    )


def _storage_bytes() -> int:
    disk = os.statvfs("/")
    return disk.f_frsize * disk.f_blocks


def _os_image() -> str:
    for line in _text(_OS_RELEASE).splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.platform()


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
