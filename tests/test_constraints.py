"""What `./dev setup` installs is what the project says it needs, each in one version wherever it is installed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"python_full_version": "3.13.0", "python_version": "3.13"}


def needed() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirements in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from map(Requirement, requirements)


def pinned(environment: dict[str, str]) -> dict[str, Requirement]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    here = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate(environment)]
    names = [canonicalize_name(each.name) for each in here]
    assert len(set(names)) == len(names)
    return dict(zip(names, here, strict=True))


def test_every_package_that_is_needed_has_one_version_that_will_do() -> None:
    for changed in ({}, ELSEWHERE):
        environment = {**{key: str(value) for key, value in default_environment().items()}, **changed}
        versions = pinned(environment)

        for need in needed():
            if need.marker is None or need.marker.evaluate(environment):
                (exactly,) = versions[canonicalize_name(need.name)].specifier
                assert exactly.operator == "=="
                assert need.specifier.contains(exactly.version), f"{need} is not {exactly}"
