"""What the pods of a daemon set on one node are called, and how long one that failed stays before it is replaced.

The names follow from set, template and node, one after the other; a name that was used lately is not given again. So
those that were used tell how often, and when, pods of this template ended on this node: the back-off needs no other
memory. It is client-go's: 1 s doubling to 15 minutes, and from the beginning when nothing ended for twice as long.
(Kubernetes counts only pods that failed; here one that was deleted by somebody counts, too.)
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator

from actorkube.kube import View
from protocols.objects import Object, name_of, namespace_of, uid_of
from protocols.rules.names import child_name

_BASE_S = 1.0
_MOST_S = 900.0


def free_name(daemon_set: Object, digest: str, node: str, pods: View, given: Collection[str]) -> str:
    """`given`: names of pods that are being made."""
    namespace = namespace_of(daemon_set)
    names = _names(daemon_set, digest, node)
    return next(name for name in names if _is_free(f"{namespace}/{name}", pods) and name not in given)


def back_off_s(daemon_set: Object, digest: str, node: str, pods: View, now: float) -> float:
    """How long from now a pod that failed on the node is to stay."""
    namespace = namespace_of(daemon_set)
    keys = (f"{namespace}/{name}" for name in _names(daemon_set, digest, node))
    taken = itertools.takewhile(lambda key: not _is_free(key, pods), keys)
    return waiting_s((pods.absent_since(key) for key in taken if key not in pods), now)


def waiting_s(ends: Iterable[float], now: float) -> float:
    """What is left of the back-off after pods that ended at these times; not positive: nothing is."""
    delay, last = 0.0, None
    for end in ends:
        is_new = last is None or end - last > 2 * _MOST_S
        delay, last = _BASE_S if is_new else min(2 * delay, _MOST_S), end
    return 0.0 if last is None else last + delay - now


def _names(daemon_set: Object, digest: str, node: str) -> Iterator[str]:
    parent, uid = name_of(daemon_set), uid_of(daemon_set)
    return (child_name(parent, f"{uid}/{digest}/{node}/{number}") for number in itertools.count())


def _is_free(key: str, pods: View) -> bool:
    return key not in pods and not pods.was_used(key)
