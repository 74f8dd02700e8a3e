"""A whole simulated cluster as a plain object: every call runs the simulation just so far, and returns.

    cluster.apply("examples/web.yaml")
    cluster.kill("node-1")
    cluster.clock.advance("6m")
    cluster.eventually(lambda: cluster.get("deploy/web")["status"]["readyReplicas"] == 3)

Between two calls its time stands still. It works in plain functions and in coroutines of a real loop alike, because
the simulation has a loop of its own; nothing of it is global, so several live side by side.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, TypeVar

from actorkube.kube.why import Why
from actorkube.runtime import Actor, Ref
from actorkube.runtime.duration import in_seconds
from actorkube.runtime.supervisor import Supervision
from actorkube.sim import World
from actorkube.sim.errors import NotConverged
from actorkube.testing.fork import on_a_copy
from actorkube.testing.manifests import Manifest
from actorkube.testing.options import Options
from actorkube.testing.over import Over
from actorkube.testing.simulated import ASK_TIMEOUT_S, SimulatedCluster, look_every_s
from protocols.api import PatchType
from protocols.errors import AskError, NotFound
from protocols.message import Message, Request
from protocols.objects import Object, meta

R = TypeVar("R")
T = TypeVar("T")

STEPS_KEPT = 20
TRACE_LINES = 8
NOT_YET = (AssertionError, LookupError, NotFound, AskError)  # what a check may raise while it does not hold


class Cluster:
    """Booted when made. `close` it; the pytest fixture does."""

    def __init__(self, options: Options | None = None, **words: Any) -> None:
        """Options as in `@pytest.mark.actorkube(nodes=5, seed=7)`. Equal options make equal clusters."""
        self.options = (options or Options()).with_words(words)
        self.world = World(self.options.seed)
        self.inside = SimulatedCluster(self.world, self.options)
        self.clock = Clock(self)
        self._steps: deque[str] = deque(maxlen=STEPS_KEPT)
        try:
            self._run(self.inside.boot())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.world.close()

    def run(self, scenario: Callable[[SimulatedCluster], Coroutine[Any, Any, T]], within: str | float = "24h") -> T:
        """A whole scenario in virtual time: in it, `await asyncio.sleep(300)` takes no time at all."""
        return self._run(scenario(self.inside), in_seconds(within))

    def _run(self, step: Coroutine[Any, Any, T], for_s: float = 86400.0) -> T:
        with _no_loop_around():
            return self.world.run(lambda world: step, for_s)

    def on_a_copy(self, work: Callable[[], T]) -> T:
        """Do it in a copy of this process: whatever it does to this cluster is forgotten. For a test that tries many
        things from one state, such as each example of a hypothesis test. See actorkube/testing/fork.py."""
        return on_a_copy(work)

    # -- objects --------------------------------------------------------------------------------------------------

    def apply(self, manifest: Manifest, namespace: str = "default") -> list[Object]:
        """An object, several, YAML text or a file; as `kubectl apply --server-side --force-conflicts`."""
        objects = self._run(self.inside.apply(manifest, namespace))
        self._note("apply", *(f"{obj['kind']}/{meta(obj)['name']}" for obj in objects))
        return objects

    def create(self, obj: Object, namespace: str = "default") -> Object:
        self._note("create", obj.get("kind"), meta(obj).get("name"))
        return self._run(self.inside.create(obj, namespace))

    def get(self, what: str | Object, name: str = "", namespace: str = "default") -> Object:
        return self._run(self.inside.get(what, name, namespace))

    def why(self, what: str | Object, name: str = "", namespace: str = "default", *, latest: bool = False) -> Why:
        """Why it was created, or changed last. `print("\\n".join(cluster.why("pod/web-1").lines()))`, or
        `assert cluster.why("pod/web-1").caused_by("deployments.apps default/web")`. Raises NotFound."""
        return self._run(self.inside.why(what, name, namespace, latest=latest))

    def list(self, resource: str, namespace: str = "default", *, labels: str = "", fields: str = "") -> list[Object]:
        return self._run(self.inside.list(resource, namespace, labels=labels, fields=fields))

    def patch(
        self,
        what: str | Object,
        patch: Any,
        name: str = "",
        namespace: str = "default",
        *,
        type: PatchType = "merge",
        subresource: Any = "",
    ) -> Object:
        self._note("patch", _word(what), name, patch)
        return self._run(self.inside.patch(what, patch, name, namespace, type=type, subresource=subresource))

    def scale(self, what: str | Object, replicas: int, namespace: str = "default") -> Object:
        self._note("scale", _word(what), replicas)
        return self._run(self.inside.scale(what, replicas, namespace))

    def delete(self, what: str | Object, name: str = "", namespace: str = "default", *, grace_s: int = -1) -> None:
        self._note("delete", _word(what), name)
        self._run(self.inside.delete(what, name, namespace, grace_s=grace_s))

    def logs(
        self,
        pod: str | Object,
        container: str = "",
        namespace: str = "default",
        *,
        previous: bool = False,
        tail: int | None = None,
    ) -> str:
        """What a container has printed, as `kubectl logs`; what it prints stands in `actorkube.dev/sim-prints`."""
        return self._run(self.inside.logs(pod, container, namespace, previous=previous, tail=tail))

    def ask(self, address: str | Ref, request: Request[R], timeout_s: float = ASK_TIMEOUT_S) -> R:
        return self._run(self.inside.ask(address, request, timeout_s))

    def tell(self, address: str | Ref, message: Message) -> None:
        async def say() -> None:
            self.inside.tell(address, message)

        self._run(say())

    # -- waiting --------------------------------------------------------------------------------------------------

    def wait(
        self, what: str | Object, until: str | Callable[[Object], object] = "Ready", within: str | float = "5m"
    ) -> Object | None:
        self._note("wait", _word(what), until)
        return self._run(self.inside.wait(what, until, within))

    def eventually(self, check: Callable[[], T], within: str | float = "1m") -> T:
        """What the check returns as soon as that is true, asked again and again in virtual time.

        It may raise KeyError, NotFound, AssertionError and the like as long as it does not hold; NotConverged tells
        what it said last.
        """
        self._note("eventually", check, f"within {within}")
        every_s = look_every_s(in_seconds(within))
        end = self.world.loop.time() + in_seconds(within)
        while True:
            refusal: BaseException | None = None
            try:
                if outcome := check():
                    return outcome
            except NOT_YET as error:
                refusal = error
            if self.world.loop.time() >= end:
                said = f"returned {outcome!r}" if refusal is None else f"raised {refusal!r}"
                raise NotConverged(f"not true within {within}; the check {said}") from refusal
            self._run(asyncio.sleep(every_s))

    def settled(self, within: str | float = "10m", quiet: str | float = "2s") -> Over:
        """As SimulatedCluster.settled. In a coroutine it may be awaited; it is over when it returns."""
        self._note("settled")
        self._run(self.inside.settled(within, quiet))
        return Over()

    # -- hosts ----------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> builtins.list[str]:
        return self.inside.nodes

    def spawn(self, name: str, factory: Callable[[], Actor], supervision: Supervision | None = None) -> Ref:
        self._note("spawn", name)
        return self._run(self.inside.spawn(name, factory, supervision))

    def actor(self, address: str) -> Actor:
        return self.inside.actor(address)

    def kill(self, *names: str) -> None:
        self._note("kill", *names)
        self._do(lambda: self.inside.kill(*names))

    def restart(self, *names: str) -> None:
        self._note("restart", *names)
        self._run(self.inside.restart(*names))

    def pause(self, *names: str) -> None:
        self._note("pause", *names)
        self._do(lambda: self.inside.pause(*names))

    def resume(self, *names: str) -> None:
        self._note("resume", *names)
        self._do(lambda: self.inside.resume(*names))

    def partition(
        self, one: str | Collection[str], other: str | Collection[str] = (), *, both_ways: bool = True
    ) -> None:
        self._note("partition", one, other)
        self._do(lambda: self.inside.partition(one, other, both_ways=both_ways))

    def skew(self, name: str, by: str | float) -> None:
        self._note("skew", name, by)
        self._do(lambda: self.inside.skew(name, by))

    def heal(self) -> None:
        self._note("heal")
        self._do(self.inside.heal)

    def recover(self) -> None:
        self._note("recover")
        self._run(self.inside.recover())

    def _do(self, action: Callable[[], None]) -> None:
        """Faults are made on the loop, where whatever they call off or set off belongs."""

        async def act() -> None:
            action()

        self._run(act())

    # -- what is told when a test fails ---------------------------------------------------------------------------

    def story(self) -> str:
        """The seed, what the test did, and the last messages."""
        lines = [f"seed {self.options.seed!r}, {self.clock.elapsed_s:.3f} s after its start; {self.options}"]
        lines += ["the test did:", *(f"  {step}" for step in self._steps or ["nothing"])]
        lines += ["last messages:", *(f"  {line}" for line in self.world.trace.lines[-TRACE_LINES:])]
        return "\n".join(lines)

    def _note(self, *words: object) -> None:
        said = " ".join(str(word) for word in words if word not in ("", (), None))
        self._steps.append(f"{self.clock.elapsed_s:10.3f} s  {said[:200]}")


class Clock:
    """The cluster's time, which is the test's to move."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def now(self) -> float:
        """Seconds since 1970, as the cluster's actors see it; a simulation begins on 2026-01-01."""
        return self._cluster.world.now

    @property
    def elapsed_s(self) -> float:
        """Since the simulation began."""
        return self._cluster.world.loop.time()

    def advance(self, by: str | float) -> Over:
        """Let so much time pass, and everything happen that is due in it. In a coroutine it may be awaited."""
        self._cluster._note("advance", by)
        self._cluster._run(asyncio.sleep(in_seconds(by)), in_seconds(by) + 1.0)
        return Over()


def _word(what: str | Object) -> str:
    return what if isinstance(what, str) else f"{what.get('kind')}/{meta(what).get('name')}"


@contextlib.contextmanager
def _no_loop_around() -> Iterator[None]:
    """A coroutine of another loop may call: that loop waits meanwhile, as for any other function."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
