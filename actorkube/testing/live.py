"""A real cluster for any client: REST over TLS with a kubeconfig, up in under a second, gone when it is stopped.

    with LiveCluster(nodes=1) as cluster:                     # a thread of this process, scripted containers
        subprocess.run(["kubectl", "--kubeconfig", cluster.kubeconfig, "get", "nodes"])
        cluster.clock.advance("6m")

    with LiveCluster(processes="many", runtime="process") as cluster: ...      # as `python -m actorkube cluster`

Both have a directory of their own, which goes with them. Nothing is global: several live side by side.
"""

from __future__ import annotations

import builtins
import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode

from actorkube.cli.api import Api
from actorkube.runtime.duration import in_seconds
from actorkube.runtime.live import LiveClock
from actorkube.sim.errors import NotConverged
from actorkube.testing.live_objects import LiveObjects
from actorkube.testing.manifests import Manifest
from actorkube.testing.options import Options
from actorkube.testing.over import Over
from protocols.api import PatchType
from protocols.objects import Object

T = TypeVar("T")

LOOK_EVERY_S = 0.02


class Backing(Protocol):
    """Where the components of a live cluster live: actorkube/testing/live_thread.py, live_processes.py."""

    servers: list[str]

    def stop(self) -> None: ...
    def kill(self, name: str) -> None: ...
    def restart(self, name: str) -> None: ...
    def pause(self, name: str) -> None: ...
    def resume(self, name: str) -> None: ...
    def partition(self, one: str | Collection[str], other: str | Collection[str], both_ways: bool) -> None: ...
    def skew(self, name: str, by: str | float) -> None: ...
    def heal(self) -> None: ...
    def component_logs(self) -> str: ...
    def settled(self, within_s: float) -> None: ...

    @property
    def clock(self) -> LiveClock: ...


class LiveCluster:
    """Started when made. `server` is its REST address, `kubeconfig` a file for any client (the administrator's).

    With `apiservers=2`, `servers` are the addresses of both, and the kubeconfig has a context `actorkube-2` beside.
    """

    def __init__(self, options: Options | None = None, **words: Any) -> None:
        """Options as in `@pytest.mark.actorkube(nodes=1, processes="many")`."""
        self.options = (options or Options()).with_words(words)
        self.directory = Path(tempfile.mkdtemp(prefix="actorkube-live-"))
        self.kubeconfig = self.directory / "kubeconfig"
        try:
            self._backing = _backing(self.options, self.directory, self.kubeconfig)
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        self.servers = self._backing.servers
        self.server = self.servers[0]

    def stop(self) -> None:
        """All of it has ended: processes, threads, sockets, files. Twice is fine."""
        if self.directory.exists():
            self._backing.stop()
            shutil.rmtree(self.directory)

    def __enter__(self) -> LiveCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """For clients that are told by it: kubectl, helm, kopf."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    # -- objects --------------------------------------------------------------------------------------------------

    def apply(self, manifest: Manifest, namespace: str = "default") -> builtins.list[Object]:
        """An object, several, YAML text or a file; as `kubectl apply --server-side --force-conflicts`."""
        return self._objects.apply(manifest, namespace)

    def create(self, obj: Object, namespace: str = "default") -> Object:
        """Raises AlreadyExists, Invalid and the other refusals of the API server, as all of these do."""
        return self._objects.create(obj, namespace)

    def get(self, what: str | Object, name: str = "", namespace: str = "default") -> Object:
        """`get("deploy/web")`, `get("deploy", "web")`, or again what one has. Raises NotFound."""
        return self._objects.get(what, name, namespace)

    def list(
        self, resource: str, namespace: str = "default", *, labels: str = "", fields: str = ""
    ) -> builtins.list[Object]:
        """Objects by name; namespace "" lists all namespaces. Selectors as kubectl's -l and --field-selector."""
        return builtins.list(self._objects.list(resource, namespace, labels, fields))

    def patch(
        self,
        what: str | Object,
        patch: Any,
        name: str = "",
        namespace: str = "default",
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> Object:
        return self._objects.patch(what, patch, name, namespace, type, subresource)

    def scale(self, what: str | Object, replicas: int, namespace: str = "default") -> Object:
        return self.patch(what, {"spec": {"replicas": replicas}}, namespace=namespace)

    def delete(self, what: str | Object, name: str = "", namespace: str = "default", *, grace_s: int = -1) -> None:
        """Asks for deletion. What is gone already is fine."""
        self._objects.delete(what, name, namespace, grace_s)

    @functools.cached_property
    def _objects(self) -> LiveObjects:
        return LiveObjects(self.kubeconfig)

    def logs(
        self,
        pod: str,
        container: str = "",
        namespace: str = "default",
        *,
        previous: bool = False,
        tail: int | None = None,
    ) -> str:
        """What a container of a pod ("web-1" or "pod/web-1") has printed, as `kubectl logs`: its `tail` last lines, or
        all; `previous`: before its last restart. Raises NotFound, and StatusError where there is no log yet."""
        words = {"container": container, "previous": "true" if previous else "", "tailLines": tail}
        query = urlencode({word: value for word, value in words.items() if value not in ("", None)})
        with Api(str(self.kubeconfig)) as api:
            path = f"/api/v1/namespaces/{namespace}/pods/{quote(pod.removeprefix('pod/'), safe='')}/log?{query}"
            return api.get(path).decode(errors="replace")

    # -- waiting --------------------------------------------------------------------------------------------------

    def eventually(self, check: Callable[[], T], within: str | float = "30s") -> T:
        """What the check returns as soon as that is true, in real time. It may raise as long as it does not hold."""
        end = time.monotonic() + in_seconds(within)
        while True:
            refusal: Exception | None = None
            try:
                if outcome := check():
                    return outcome
            except Exception as error:  # of whichever client is used: what it raises for "not found" is its own
                refusal = error
            if time.monotonic() >= end:
                said = f"returned {outcome!r}" if refusal is None else f"raised {refusal!r}"
                raise NotConverged(f"not true within {within}; the check {said}") from refusal
            time.sleep(LOOK_EVERY_S)

    def settled(self, within: str | float = "60s") -> Over:
        """Nobody has anything to do now (actorkube.runtime.settled), in a cluster of one process. In a coroutine it may
        be awaited; it is over when it returns."""
        self._backing.settled(in_seconds(within))
        return Over()

    @property
    def clock(self) -> LiveClock:
        """`clock.advance("6m").result()`, `pause`, `run_at`: of a cluster in one process, time is the test's."""
        return self._backing.clock

    # -- faults ---------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """As kill -9: "apiserver", "etcd-1", "node-1" (the whole machine), "node-1-kubelet". In one process it stays
        down until `restart`; of many processes, all but whole nodes are started again by their supervisor."""
        self._backing.kill(name)

    def restart(self, name: str) -> None:
        """Returns when it is up again."""
        self._backing.restart(name)

    def pause(self, name: str) -> None:
        """SIGSTOP: it does nothing and does not know it, until `resume`. Needs processes="many"."""
        self._backing.pause(name)

    def resume(self, name: str) -> None:
        self._backing.resume(name)

    def partition(
        self, one: str | Collection[str], other: str | Collection[str] = (), *, both_ways: bool = True
    ) -> None:
        """Nothing gets from one side to the other, by links; clients still reach the API server. Without `other`: from
        everybody else. Of many processes, as a network does that parts: what is under way arrives late if it is
        healed within 10 s; then links end. In one process they end at once, both directions with one."""
        self._backing.partition(one, other, both_ways)

    def skew(self, name: str, by: str | float) -> None:
        """Set the clock so far ahead of the others' ("-5m": behind); it jumps forward, or stands still until then.
        It survives the host's restart."""
        self._backing.skew(name, by)

    def heal(self) -> None:
        """End all partitions, pauses and skews; who was killed stays down."""
        self._backing.heal()

    def story(self) -> str:
        """For whoever looks at a failed test: where it was, and the end of its logs."""
        return f"{self.server}, {self.options}\n{self._backing.component_logs()}"


def _backing(options: Options, directory: Path, kubeconfig: Path) -> Backing:
    if options.processes == "one":
        from actorkube.testing.live_thread import ThreadBacking

        return ThreadBacking(options, directory, kubeconfig)
    from actorkube.testing.live_processes import ProcessBacking

    return ProcessBacking(options, directory, kubeconfig)
