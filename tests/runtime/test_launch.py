"""How a container becomes a process: arguments, directory, environment, links, niceness."""

from __future__ import annotations

from typing import Any

import pytest

from actors.runtime.launch import Launch, Link, lookup_paths, nice_of, plan_launch
from actors.runtime.ledger import Container, Sandbox
from protocols.cri import ContainerConfig, ContainerMetadata, ImageUnusable, Mount, PodSandboxConfig, PodSandboxMetadata


def launch(image: str = "label", command: tuple[str, ...] = ("run",), **config: Any) -> Launch:
    sandbox = Sandbox("s", PodSandboxConfig(PodSandboxMetadata("web-0", "u", "default")), 0.0, ip="127.65.1.2")
    container = Container("c", sandbox, ContainerConfig(ContainerMetadata("main"), image, command, **config), 0.0)
    return plan_launch(container, "/node/root", "/bin")


def test_a_command_runs_in_the_containers_own_directory() -> None:
    plan = launch(command=("server", "--port"), args=("80",))

    assert (plan.argv, plan.cwd) == (("server", "--port", "80"), "/node/root")
    assert {
        "PATH": "/bin",
        "HOME": "/node/root",
        "HOSTNAME": "web-0",
        "POD_IP": "127.65.1.2",
    }.items() <= plan.env.items()


@pytest.mark.parametrize("working_dir", ["/app", "app", "../../app", "/x/../app/"])
def test_a_working_directory_stays_inside(working_dir: str) -> None:
    assert launch(working_dir=working_dir).cwd == "/node/root/app"


def test_a_directory_as_image_takes_the_roots_place() -> None:
    with_command, without = launch("file:///srv/app", ("serve",)), launch("/srv/app/", (), args=("x",))

    assert (with_command.argv, with_command.cwd) == (("serve",), "/srv/app")
    assert without.argv == ("/srv/app/entrypoint", "x")


def test_a_label_without_a_command_is_refused_with_what_to_do() -> None:
    with pytest.raises(ImageUnusable, match="Give the container a `command`"):
        launch("nginx", (), args=("-g",))


def test_volumes_are_links_and_variables_but_not_inside_each_other() -> None:
    mounts = (
        Mount("/data/cache", "/v/cache", name="cache"),
        Mount("/data", "/v/data", name="my-data"),
        Mount("/", "/v/all", name="all"),
        Mount("/../etc", "/v/etc", name="etc"),
    )

    plan = launch(mounts=mounts)

    assert plan.links == (Link("etc", "/v/etc"), Link("data", "/v/data"))
    assert (plan.env["ACTORKUBE_VOLUME_CACHE"], plan.env["ACTORKUBE_VOLUME_MY_DATA"]) == ("/v/cache", "/v/data")


def test_a_command_is_looked_up_inside_its_image_first() -> None:
    env = {"PATH": "/usr/bin:/bin"}

    assert lookup_paths("/bin/serve", "/srv/app", env, "/srv/app") == ["/srv/app/bin/serve", "/bin/serve"]
    assert lookup_paths("./serve", "/node/root", env, "label") == ["/node/root/./serve"]
    assert lookup_paths("serve", "/node/root", env, "label") == ["/usr/bin/serve", "/bin/serve"]


def test_who_asks_for_less_cpu_is_nicer_within_bounds() -> None:
    assert [nice_of(shares) for shares in (0, 2048, 1024, 512, 102, 2)] == [0, 0, 0, 2, 5, 10]
