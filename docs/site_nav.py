"""The order of the site's pages: what a newcomer reads first; pages that are not named here come behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ORDER = (
    "index",
    "guide",
    "transports",
    "extending",
    "contract",
    "testing",
    "simulation",
    "time",
    "scheduler",
    "workloads",
    "volumes",
    "devices",
    "observability",
    "benchmarks",
    "etcd",
    "reference",
)


def on_config(config: Any) -> Any:
    pages = {path.stem: path.name for path in sorted(DOCS.glob("*.md"))}
    named = [name for name in ORDER if name in pages]
    others = [name for name in pages if name not in ORDER]
    decisions = [f"decisions/{path.name}" for path in sorted((DOCS / "decisions").glob("*.md"))]
    config.nav = [pages[name] for name in (*named, *others)] + [{"Decisions": decisions}]
    return config
