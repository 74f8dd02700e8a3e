"""A pod's volumes as directories; their files change all at once.

As Kubernetes' AtomicWriter: files live in a directory of their own generation, `..data` is a symbolic link to it, the
visible names are links through `..data`, and an update is one rename of that link.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

_DATA = "..data"


def publish(directory: Path, files: Mapping[str, bytes], modes: Mapping[str, int], default_mode: int) -> None:
    """Make the directory show exactly these files (paths with "/" make directories)."""
    directory.mkdir(parents=True, exist_ok=True)
    if _content(directory / _DATA) == dict(files):
        return
    before = (directory / _DATA).resolve() if (directory / _DATA).is_symlink() else None
    generation = _next_generation(directory)
    for name, data in files.items():
        _write(generation / name, data, modes.get(name, default_mode))
    _replace_link(directory / _DATA, generation.name)
    _show(directory, {name.split("/", 1)[0] for name in files})
    if before is not None:
        shutil.rmtree(before, ignore_errors=True)


def _content(data: Path) -> dict[str, bytes] | None:
    if not data.is_dir():
        return None
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def _next_generation(directory: Path) -> Path:
    number = 1
    while (generation := directory / f"..{number}").exists():
        number += 1
    generation.mkdir()
    return generation


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _show(directory: Path, names: set[str]) -> None:
    for name in sorted(names):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{_DATA}/{name}")
    for entry in sorted(directory.iterdir()):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()


def _replace_link(link: Path, target: str) -> None:
    beside = link.with_name(f"{link.name}_tmp")
    beside.unlink(missing_ok=True)
    os.symlink(target, beside)
    beside.rename(link)
