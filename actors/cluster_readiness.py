"""When what a host is to run is there: it asks, again and again, until the answer is what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from actorkube.runtime import Ref, System
from protocols.api import Ready
from protocols.errors import AskError
from protocols.message import Request

if TYPE_CHECKING:
    from actors.cluster import ClusterSpec

R = TypeVar("R")

POLL_S = 0.01


async def until(system: System, ref: Ref, request: Request[R], holds: Callable[[R], bool]) -> R:
    """Ask again and again until the answer is what is waited for; whoever boots the host bounds the time."""
    while True:
        try:
            answer = await system.ask(ref, request, timeout_s=30)
            if holds(answer):
                return answer
        except AskError:
            pass
        await asyncio.sleep(POLL_S)


async def api_ready(system: System, spec: ClusterSpec) -> Ref:
    """One of the API servers that answers."""
    while True:
        for address in spec.apis:
            with suppress(AskError):
                await system.ask(system.ref(address), Ready(), timeout_s=30)
                return system.ref(address)
        await asyncio.sleep(POLL_S)


async def run_controllers(system: System, spec: ClusterSpec, factory: Callable[[], object], count: int) -> str:
    from protocols.controller import AskActivity

    ref = system.spawn(factory, "controllers")  # type: ignore[arg-type]
    await api_ready(system, spec)
    await until(system, ref, AskActivity(), lambda activity: activity.passes > 0 or activity.settled)
    return f"{count} controllers"


async def node_ready(system: System, spec: ClusterSpec, node: str) -> None:
    from protocols.api import Watch
    from protocols.errors import Answer
    from protocols.objects import decode_object
    from protocols.rules.conditions import condition_is

    while True:
        api = await api_ready(system, spec)
        try:
            watch = Watch("nodes", field_selector=f"metadata.name={node}")
            async with system.stream(api, watch) as events:
                async for event in events:
                    if event.body and condition_is(decode_object(event.body), "Ready"):
                        return
        except (Answer, AskError):
            await asyncio.sleep(POLL_S)
