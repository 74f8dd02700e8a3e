"""The pytest plugin: fixtures `cluster`, `live_cluster`, `world` and their kin, and what a failing test is told.

`cluster` is booted once for each set of options, and copied for each test by a fork, in milliseconds (forked.py).

It is loaded into every pytest run of whoever has installed the package, so it imports nothing until a fixture is used.

    @pytest.mark.actorkube(nodes=5, seed=7)     # or in pytest.ini: actorkube_nodes = 5
    def test_something(cluster): ...

An `async def` test that uses `world` or `any_world` runs inside that world, on its loop and in its time.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from actorkube.testing.cluster import Cluster
    from actorkube.testing.live import LiveCluster
    from actorkube.testing.options import Options
    from actorkube.testing.warm import WarmClusters
    from actorkube.testing.world import World

MARKER = (
    "actorkube(nodes=, etcd=, apiservers=, seed=, node_monitor_grace=, eviction_timeout=, processes=, runtime=, "
    "leaks=, fork=): what the cluster of a test is like; whether what the test leaves behind fails it; whether it runs "
    "in a copy"
)
INI = {
    "nodes": "how many nodes a test's cluster has (3)",
    "etcd": "how many replicas its store has (3)",
    "apiservers": "how many API servers serve it (1)",
    "seed": "what all its chance follows from (0)",
    "node_monitor_grace": "how long a node may be silent (50s)",
    "eviction_timeout": "how long pods stay on a lost node (5m)",
    "processes": "of a live cluster: one (a thread) or many (one)",
    "runtime": "of a live cluster: sim (scripted containers) or process (sim)",
}
WARM: pytest.StashKey[WarmClusters] = pytest.StashKey()
FAILED: pytest.StashKey[bool] = pytest.StashKey()
STORIES: pytest.StashKey[dict[str, Callable[[], str]]] = pytest.StashKey()
VIRTUAL_S_MAX = 86_400.0  # of a test inside a simulation
WORLD_FIXTURES = ("world", "any_world")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("actorkube")
    group.addoption("--actorkube-seed", metavar="SEED", help="run simulated clusters and worlds with this seed")
    for word, meaning in INI.items():
        parser.addini(f"actorkube_{word}", meaning, default="")
    parser.addini("actorkube_leaks", "what a test leaves behind fails it", type="bool", default=True)
    parser.addini("actorkube_fork", "tests of simulated clusters run in copies", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


# -- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A whole simulated cluster of this test's own, in virtual time."""
    from actorkube.testing.cluster import Cluster
    from actorkube.testing.forked import FORK, split

    options = options_of(request)
    fork = request.node.stash.get(FORK, None)
    if fork is None:
        made = Cluster(options)
    else:
        made = warm_cluster(request.config, options)
        split(request.node, fork)
    tell_of(request, "cluster", made.story)
    with contextlib.closing(made), nothing_left(request, made.world.loop):
        yield made


def warm_cluster(config: pytest.Config, options: Options) -> Cluster:
    """Booted, and never used itself."""
    from actorkube.testing.warm import WarmClusters

    if WARM not in config.stash:
        config.stash[WARM] = WarmClusters()
    return config.stash[WARM].get(options)


def pytest_unconfigure(config: pytest.Config) -> None:
    if WARM in config.stash:
        config.stash[WARM].close()


@pytest.fixture
def make_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., Cluster]]:
    """`make_cluster(nodes=1)`: any number of simulated clusters, side by side; the marker's options are the default."""
    from actorkube.testing.cluster import Cluster

    options, numbers = options_of(request), itertools.count(1)

    with contextlib.ExitStack() as stack, nothing_left(request):

        def make(**words: Any) -> Cluster:
            cluster = stack.enter_context(contextlib.closing(Cluster(options, **words)))
            tell_of(request, f"cluster {next(numbers)}", cluster.story)
            return cluster

        yield make


@pytest.fixture
def live_cluster(request: pytest.FixtureRequest) -> Iterator[LiveCluster]:
    """A real cluster of this test's own, for any client: `live_cluster.kubeconfig`, `live_cluster.server`."""
    yield from started(request)


@pytest.fixture(scope="session")
def session_live_cluster(request: pytest.FixtureRequest) -> Iterator[LiveCluster]:
    """A real cluster that all tests of the session share; what they write there, they should tell apart by name."""
    yield from started(request)


@pytest.fixture
def make_live_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., LiveCluster]]:
    """`make_live_cluster(nodes=1, processes="many")`: any number of real clusters, side by side."""
    from actorkube.testing.live import LiveCluster

    options, numbers = options_of(request), itertools.count(1)
    with nothing_left(request), contextlib.ExitStack() as stack:

        def make(**words: Any) -> LiveCluster:
            cluster = stack.enter_context(LiveCluster(options, **words))
            tell_of(request, f"live cluster {next(numbers)}", cluster.story)
            return cluster

        yield make


def started(request: pytest.FixtureRequest) -> Iterator[LiveCluster]:
    from actorkube.testing.live import LiveCluster

    with nothing_left(request), LiveCluster(options_of(request)) as cluster:
        tell_of(request, "live cluster", cluster.story)
        yield cluster


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A simulated world without hosts: bare actors, faults, virtual time (actorkube.sim.World)."""
    from actorkube.sim import World

    made = World(options_of(request).seed)
    tell_of(request, "world", made._story)
    with contextlib.closing(made), nothing_left(request, made.loop):
        yield made


@pytest.fixture(params=["local", "tcp", "sim"])
def any_world(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[World]:
    """The test runs three times: its hosts in one process, over TCP, and in simulation (actorkube.testing.World)."""
    from actorkube.sim import World as SimWorld
    from actorkube.testing.world import make_world

    made = make_world(request.param, tmp_path)
    if isinstance(made, SimWorld):
        tell_of(request, "world", made._story)
    with contextlib.closing(made), nothing_left(request, getattr(made, "loop", None)):
        yield made


def options_of(request: pytest.FixtureRequest) -> Options:
    """Of the command line, else the closest marker, else the ini file, else the default."""
    from actorkube.testing.options import Options

    config = request.config
    words: dict[str, Any] = {word: said for word in INI if (said := config.getini(f"actorkube_{word}"))}
    for marker in reversed(list(request.node.iter_markers("actorkube"))):
        words |= {word: said for word, said in marker.kwargs.items() if word not in ("leaks", "fork")}
    if (seed := config.getoption("--actorkube-seed")) is not None:
        words["seed"] = seed
    if isinstance(words.get("seed"), str) and words["seed"].isdecimal():
        words["seed"] = int(words["seed"])
    try:
        return Options().with_words(words)
    except (ValueError, TypeError) as error:
        raise pytest.UsageError(f"{request.node.nodeid}: actorkube: {error}") from None


# -- a test in a copy of the process ----------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if not (isinstance(item, pytest.Function) and _is_ours(item, "cluster", item.fixturenames) and _may_fork(item)):
        return None
    from actorkube.testing.forked import run_protocol

    return run_protocol(item, nextitem)


def _may_fork(item: pytest.Item) -> bool:
    """Not where a person looks into the process with a debugger."""
    option = item.config.option
    watched = ("usepdb", "trace", "setuponly", "setupshow", "setupplan")
    wanted = _said(item, "fork")
    return hasattr(os, "fork") and wanted and not any(getattr(option, name, False) for name in watched)


def _said(item: pytest.Item, word: str) -> bool:
    for marker in item.iter_markers("actorkube"):
        if word in marker.kwargs:
            return bool(marker.kwargs[word])
    return bool(item.config.getini(f"actorkube_{word}"))


# -- nothing is left --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def nothing_left(request: pytest.FixtureRequest, loop: Any = None) -> Iterator[None]:
    """Fails the test, unless it has failed already, for what it leaves in the process or on the simulated loop."""
    if not _said(request.node, "leaks"):
        yield
        return
    from actorkube.testing.leaks import leaked, pending, resources

    before = resources()
    yield
    if request.node.stash.get(FAILED, False):
        return  # its traceback keeps alive what it had
    left = [*(pending(loop) if loop is not None else []), *leaked(before)]
    if left:
        pytest.fail("the test left something behind:\n  " + "\n  ".join(left), pytrace=False)


# -- a test inside a world --------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Innermost of the wrappers, so that other plugins for coroutines see a plain function, and leave it alone."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            name = next((name for name in WORLD_FIXTURES if _is_ours(item, name, item._fixtureinfo.argnames)), None)
            if name is not None:
                item.obj = _run_inside(item.obj, name)
    return made


def _is_ours(item: pytest.Function, name: str, asked: Sequence[str]) -> bool:
    """The fixture is asked for, and it is this plugin's, not one of the test's own by that name."""
    definitions = item._fixtureinfo.name2fixturedefs.get(name) or ()
    return name in asked and any(definition.func.__module__ == __name__ for definition in definitions[-1:])


def _run_inside(test: Callable[..., Any], name: str) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        from actorkube.testing.real import RealWorld

        world = kwargs[name]
        bound = {} if isinstance(world, RealWorld) else {"for_s": VIRTUAL_S_MAX}
        world.run(lambda world: test(*args, **kwargs), **bound)

    return run


# -- what a failing test is told --------------------------------------------------------------------------------------


def tell_of(request: pytest.FixtureRequest, name: str, story: Callable[[], str]) -> None:
    request.node.stash.setdefault(STORIES, {})[name] = story


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    if report.failed and call.when in ("setup", "call"):
        for name, story in item.stash.get(STORIES, {}).items():
            report.sections.append((f"actorkube {name}", story()))
    return report
