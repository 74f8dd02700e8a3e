"""Who is supervised together: `Child` describes one actor, `Group` several children, which may be groups again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from actorkube.runtime.supervisor import Supervision

if TYPE_CHECKING:
    from actorkube.runtime.actor import Actor

# permanent: restarted whenever it ends; transient: when it crashes; temporary: never. As in Erlang/OTP.
Restarting = Literal["permanent", "transient", "temporary"]

SHUTDOWN_S = 10.0
DEFAULT = Supervision()


@dataclass(frozen=True, slots=True)
class Child:
    """One actor of a group. `shutdown_s`: how long its `on_stop`, and then its tasks, may take to end."""

    name: str
    factory: Callable[[], Actor]
    restart: Restarting = "permanent"
    shutdown_s: float = SHUTDOWN_S


@dataclass(frozen=True, slots=True)
class Group:
    """Children under one supervisor, in start order. Names of actors in it begin with `name` and a slash.

    When it gives up, that is a crash of the group: the group (or actor) around it restarts it whole, or gives up too.
    """

    name: str
    children: Sequence[Child | Group]
    supervision: Supervision = DEFAULT
    restart: Restarting = "permanent"


Spec = Child | Group
ChildLike = Spec | tuple[str, Callable[[], "Actor"]]


def as_spec(child: ChildLike) -> Spec:
    return Child(*child) if isinstance(child, tuple) else child
