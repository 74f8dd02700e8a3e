"""The plugin as its users meet it: in a pytest run of their own, with and without other plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.runs import ALONE, WITH_ASYNCIO, loaded

__all__ = ["loaded"]

WORLD_TEST = """
import asyncio, time
import pytest

async def test_of_a_world(world):
    began = time.perf_counter()
    user = await world.boot("user")
    await asyncio.sleep(3600)
    assert time.perf_counter() - began < 60

async def test_of_any_world(any_world):
    await any_world.boot("a")
    await any_world.until(lambda: any_world.is_up("a"))

class TestOfAClass:
    async def test_of_a_world(self, world):
        await world.boot("user")
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [ALONE, WITH_ASYNCIO, (*WITH_ASYNCIO, "--import-mode=importlib")])
def test_coroutines_run_inside_their_world_whatever_other_plugin_is_there(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    pytester.makepyfile(WORLD_TEST)

    result = pytester.runpytest_inprocess(*options)

    result.assert_outcomes(passed=5)


@pytest.mark.slow
def test_a_failing_test_is_told_the_seed_and_what_happened(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.actorkube(seed=77, nodes=1, etcd=1)
        def test_that_fails(cluster):
            cluster.kill("node-1")
            assert False
        """
    )

    result = pytester.runpytest_inprocess(*ALONE)

    result.stdout.fnmatch_lines(["*actorkube cluster*", "*seed 77*", "*kill node-1*", "*last messages:*"])
    result.assert_outcomes(failed=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "complaint"),
    [("colour=1", "*there is no option 'colour'*nodes*"), ("nodes=999", "*from 0 to 250*"), ("seed=[]", "*seed*")],
)
def test_a_wrong_option_is_named_with_those_that_exist(pytester: pytest.Pytester, mark: str, complaint: str) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.actorkube({mark})\ndef test_it(cluster): pass\n")

    result = pytester.runpytest_inprocess(*ALONE)

    result.stdout.fnmatch_lines([complaint])
    result.assert_outcomes(errors=1)


@pytest.mark.slow
def test_the_ini_file_the_marker_and_the_command_line_say_what_a_cluster_is_like(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nactorkube_nodes = 2\nactorkube_seed = 5\nactorkube_etcd = 1")
    pytester.makepyfile(
        """
        import pytest
        def test_ini(cluster):
            assert (cluster.options.nodes, cluster.options.seed) == (2, 9)
        @pytest.mark.actorkube(nodes=1)
        def test_marker(cluster):
            assert (cluster.options.nodes, cluster.options.seed) == (1, 9)
        """
    )

    pytester.runpytest_inprocess(*ALONE, "--actorkube-seed", "9").assert_outcomes(passed=2)


def test_a_fixture_of_ones_own_by_the_same_name_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.fixture
        def world(): return 5
        @pytest.fixture
        def cluster(world): return world + 1
        def test_it(world, cluster): assert (world, cluster) == (5, 6)
        """
    )

    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_plugin_costs_nothing_where_it_is_not_used() -> None:
    """It is loaded in every pytest run of whoever has the package: it may import nothing of it."""
    code = "import pytest, sys; before = set(sys.modules); import actorkube.testing.plugin; "
    code += "print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) <= {"actorkube", "actorkube.testing", "actorkube.testing.plugin"}


def test_the_package_brings_the_plugin_along() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()

    assert '[project.entry-points.pytest11]\nactorkube = "actorkube.testing.plugin"' in text
