"""The pytest plugin: fixtures `cluster`, `make_cluster`, `world` and `any_world`, and what a failing test is told.

It is loaded into every pytest run of whoever has installed the package, so it imports nothing until a fixture is used.

    @pytest.mark.actorkube(nodes=5, seed=7)     # or in pytest.ini: actorkube_nodes = 5
    def test_something(cluster): ...

An `async def` test that uses `world` or `any_world` runs inside that world, on its loop and in its time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from actorkube.testing.cluster import Cluster
    from actorkube.testing.options import Options
    from actorkube.testing.world import World

MARKER = "actorkube(nodes=, etcd=, seed=, node_monitor_grace=, eviction_timeout=): what the cluster of a test is like"
INI = {
    "nodes": "how many nodes a test's cluster has (3)",
    "etcd": "how many replicas its store has (3)",
    "seed": "what all its chance follows from (0)",
    "node_monitor_grace": "how long a node may be silent (50s)",
    "eviction_timeout": "how long pods stay on a lost node (5m)",
}
STORIES: pytest.StashKey[dict[str, Callable[[], str]]] = pytest.StashKey()
WORLD_FIXTURES = ("world", "any_world")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("actorkube")
    group.addoption("--actorkube-seed", metavar="SEED", help="run simulated clusters and worlds with this seed")
    for word, meaning in INI.items():
        parser.addini(f"actorkube_{word}", meaning, default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


# -- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A whole simulated cluster of this test's own, in virtual time."""
    from actorkube.testing.cluster import Cluster

    made = Cluster(options_of(request))
    tell_of(request, "cluster", made.story)
    yield made
    made.close()


@pytest.fixture
def make_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., Cluster]]:
    """`make_cluster(nodes=1)`: any number of simulated clusters, side by side; the marker's options are the default."""
    from actorkube.testing.cluster import Cluster

    options, made = options_of(request), []

    def make(**words: Any) -> Cluster:
        made.append(cluster := Cluster(options, **words))
        tell_of(request, f"cluster {len(made)}", cluster.story)
        return cluster

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A simulated world without hosts: bare actors, faults, virtual time (actorkube.sim.World)."""
    from actorkube.sim import World

    made = World(options_of(request).seed)
    tell_of(request, "world", made._story)
    yield made
    made.close()


@pytest.fixture(params=["local", "tcp", "sim"])
def any_world(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[World]:
    """The test runs three times: its hosts in one process, over TCP, and in simulation (actorkube.testing.World)."""
    from actorkube.sim import World as SimWorld
    from actorkube.testing.world import make_world

    made = make_world(request.param, tmp_path)
    if isinstance(made, SimWorld):
        tell_of(request, "world", made._story)
    yield made
    made.close()


def options_of(request: pytest.FixtureRequest) -> Options:
    """Of the command line, else the closest marker, else the ini file, else the default."""
    from actorkube.testing.options import Options

    config = request.config
    words: dict[str, Any] = {word: said for word in INI if (said := config.getini(f"actorkube_{word}"))}
    for marker in reversed(list(request.node.iter_markers("actorkube"))):
        words |= marker.kwargs
    if (seed := config.getoption("--actorkube-seed")) is not None:
        words["seed"] = seed
    if isinstance(words.get("seed"), str) and words["seed"].isdecimal():
        words["seed"] = int(words["seed"])
    try:
        return Options().with_words(words)
    except (ValueError, TypeError) as error:
        raise pytest.UsageError(f"{request.node.nodeid}: actorkube: {error}") from None


# -- a test inside a world --------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Innermost of the wrappers, so that other plugins for coroutines see a plain function, and leave it alone."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            name = next((name for name in WORLD_FIXTURES if _is_ours(item, name)), None)
            if name is not None:
                item.obj = _run_inside(item.obj, name)
    return made


def _is_ours(item: pytest.Function, name: str) -> bool:
    """The test asks for the fixture by argument, and means this plugin's, not one of its own by that name."""
    definitions = item._fixtureinfo.name2fixturedefs.get(name) or ()
    asked = name in item._fixtureinfo.argnames
    return asked and any(definition.func.__module__ == __name__ for definition in definitions[-1:])


def _run_inside(test: Callable[..., Any], name: str) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        kwargs[name].run(lambda world: test(*args, **kwargs))

    return run


# -- what a failing test is told --------------------------------------------------------------------------------------


def tell_of(request: pytest.FixtureRequest, name: str, story: Callable[[], str]) -> None:
    request.node.stash.setdefault(STORIES, {})[name] = story


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for name, story in item.stash.get(STORIES, {}).items():
            report.sections.append((f"actorkube {name}", story()))
    return report
