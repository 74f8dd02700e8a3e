"""What a test's cluster is like: said by marker, by ini file, or by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from actorkube.runtime.duration import in_seconds

NODES_MAX = 250


@dataclass(frozen=True)
class Options:
    """Two clusters with equal options are the same cluster, event for event: everything else follows from the seed."""

    nodes: int = 3
    etcd: int = 3
    apiservers: int = 1
    seed: int | str = 0
    node_monitor_grace_s: float = 50.0
    eviction_timeout_s: float = 300.0
    processes: Literal["one", "many"] = "one"  # of a live cluster: a thread of this one, or each component its own
    runtime: Literal["sim", "process"] = "sim"  # of a live cluster: what its containers are

    def with_words(self, words: Mapping[str, Any]) -> Options:
        """Changed by what a user wrote, as in `@pytest.mark.actorkube(nodes=5, node_monitor_grace="10s")`.

        ValueError names the word that is wrong, and those that exist.
        """
        return replace(self, **dict(_field(name, value) for name, value in words.items()))

    def __post_init__(self) -> None:
        if not 0 <= self.nodes <= NODES_MAX:
            raise ValueError(f"nodes={self.nodes}: a cluster has from 0 to {NODES_MAX}")
        if self.etcd not in range(1, 8):
            raise ValueError(f"etcd={self.etcd}: there are from 1 to 7 replicas of the store")
        if self.apiservers not in range(1, 10):
            raise ValueError(f"apiservers={self.apiservers}: there are from 1 to 9 API servers")
        if self.processes not in ("one", "many") or self.runtime not in ("sim", "process"):
            raise ValueError('processes is "one" or "many", runtime is "sim" or "process"')
        if self.processes == "one" and self.runtime == "process":
            raise ValueError(
                'runtime="process" needs processes="many": containers are not children of a test\'s thread'
            )


WORDS = ("nodes", "etcd", "apiservers", "seed", "node_monitor_grace", "eviction_timeout", "processes", "runtime")


def _field(word: str, value: Any) -> tuple[str, Any]:
    if word not in WORDS:
        raise ValueError(f"there is no option {word!r}; there are {', '.join(WORDS)}")
    if word in ("nodes", "etcd", "apiservers"):
        try:
            return word, int(value)
        except ValueError:
            raise ValueError(f"{word}={value!r} is not a number") from None
    if word == "seed":
        if not isinstance(value, int | str):
            raise ValueError(f"seed={value!r} is neither a number nor a word")
        return word, value
    if word in ("processes", "runtime"):
        return word, value
    return f"{word}_s", in_seconds(value)
