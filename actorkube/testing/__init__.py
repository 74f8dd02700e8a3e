"""One scenario, three worlds: in one process, over TCP, and in simulation.

    @pytest.mark.parametrize("kind", WORLDS)
    def test_something(kind: str, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await world.boot("server", lambda system: system.spawn(Server, "server"))
            user = await world.boot("user")
            await world.until(lambda: ..., within_s=10)

        run_in(kind, scenario, tmp_path)

A scenario that needs a fault not every world has asks `world.can_partition`, or is run in `SimWorld` only, which has
many more (actorkube.sim).
"""

from actorkube.sim import World as SimWorld
from actorkube.testing.real import LocalWorld, TcpWorld
from actorkube.testing.world import WORLDS, World, make_world, run_in

__all__ = ["WORLDS", "LocalWorld", "SimWorld", "TcpWorld", "World", "make_world", "run_in"]
