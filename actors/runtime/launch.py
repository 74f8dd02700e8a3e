"""How a container becomes a process: directories, arguments, environment, limits. All decided here, without I/O.

A process pod has no file system of its own. Each container gets a fresh directory, its *root*:

- The working directory is the root, or `workingDir` inside it.
- Every volumeMount is a symbolic link inside the root (`mountPath: /etc/config` is `etc/config` from the root), and
  its real path is in `ACTORKUBE_VOLUME_<NAME>`. An absolute `/etc/config` in the program still means the host's.
- `image`: a directory of the host (`/srv/app`, `file:///srv/app`) takes the root's place as working directory, and
  commands are looked up in it first. Any other image is a label: shown in the status, otherwise without effect.
- Without a command, a directory image runs its executable `entrypoint`; a label cannot run anything.

The environment starts from PATH, HOME (the root), HOSTNAME and POD_IP, not from the host's. A container with
the token of its account finds a kubeconfig in its home (kubeconfig.py).
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping
from typing import NamedTuple

from actors.runtime.ledger import Container
from protocols.cri import ContainerRefused, ImageUnusable, LinuxContainerResources, Mount

CONTAINER_ID = "ACTORKUBE_CONTAINER_ID"
NICE_MAX = 10


class Link(NamedTuple):
    """A symbolic link to make: `path` relative to the container's root."""

    path: str
    target: str


class Launch(NamedTuple):
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    links: tuple[Link, ...]
    image: str
    memory_limit_bytes: int
    nice: int

    def resized(self, resources: LinuxContainerResources) -> Launch:
        """The same with other amounts."""
        nice = nice_of(resources.cpu_shares)
        return self._replace(memory_limit_bytes=resources.memory_limit_in_bytes, nice=nice)


def plan_launch(container: Container, root: str, search_path: str) -> Launch:
    """How to start the container. Raises ImageUnusable when there is nothing to run."""
    config = container.config
    image = local_image(config.image)
    base = image or root
    return Launch(
        argv=command_of(config.image, (*config.command, *config.args), bool(config.command)),
        cwd=inside(base, config.working_dir),
        env=environment(container, root, search_path),
        links=links_of(config.mounts),
        image=config.image,
        memory_limit_bytes=config.resources.memory_limit_in_bytes,
        nice=nice_of(config.resources.cpu_shares),
    )


def command_of(image: str, argv: tuple[str, ...], has_command: bool) -> tuple[str, ...]:
    if has_command:
        return argv
    directory = local_image(image)
    if directory is not None:
        return (posixpath.join(directory, "entrypoint"), *argv)
    raise ImageUnusable(needs_command(image))


def needs_command(image: str) -> str:
    """What to tell somebody whose image cannot be run, so that the next try works."""
    subject = f'image "{image}" is only a label here' if image else "the container has no image"
    return (
        f"{subject}: pods of this cluster are processes of the host, and images are not pulled from registries. "
        'Give the container a `command` (for example ["python3", "-m", "http.server"]), '
        "or let `image` name a directory of the host (/path or file:///path) with an executable `entrypoint`"
    )


def local_image(image: str) -> str | None:
    """The host directory that an image names, None when it is a label."""
    if image.startswith("file://"):
        image = image.removeprefix("file://")
    return posixpath.normpath(image) if image.startswith("/") else None


def inside(base: str, path: str) -> str:
    """`path` taken from `base` as its root; it cannot lead out of it."""
    relative = posixpath.normpath("/" + path).lstrip("/")
    return posixpath.join(base, relative) if relative else base


def environment(container: Container, root: str, search_path: str) -> dict[str, str]:
    config, sandbox = container.config, container.sandbox
    volumes = {volume_variable(mount.name): mount.host_path for mount in config.mounts if mount.name}
    return {
        "PATH": search_path,
        "HOME": root,
        "HOSTNAME": sandbox.config.hostname or sandbox.config.metadata.name,
        "POD_IP": sandbox.ip,
        "ACTORKUBE_ROOT": root,
        **volumes,
        **config.envs,
        CONTAINER_ID: container.id,
    }


def volume_variable(name: str) -> str:
    return "ACTORKUBE_VOLUME_" + name.upper().replace("-", "_").replace(".", "_")


def links_of(mounts: tuple[Mount, ...]) -> tuple[Link, ...]:
    """A link for each mount, except those below another mount: the link would appear inside that volume."""
    links: list[Link] = []
    for mount in sorted(mounts, key=lambda mount: mount.container_path):
        path = posixpath.normpath("/" + mount.container_path).lstrip("/")
        if path and not any(path == link.path or path.startswith(link.path + "/") for link in links):
            links.append(Link(path, mount.host_path))
    return tuple(links)


def nice_of(cpu_shares: int) -> int:
    """Nicer the less CPU it asked for, at half the strength of the kernel's own weights and never beyond 10.

    One step of nice is a factor of 1.25. At full strength a pod that asks for 10m would starve beside a busy control
    plane on a small machine.
    """
    if cpu_shares <= 0 or cpu_shares >= 1024:
        return 0
    return min(NICE_MAX, round(math.log(1024 / cpu_shares, 1.25) / 2))


def lookup_paths(command: str, cwd: str, env: Mapping[str, str], image: str) -> list[str]:
    """Where the command may be, in order: inside a directory image first, then as the host would look it up."""
    directory = local_image(image)
    found = [inside(directory, command)] if directory is not None and command.startswith("/") else []
    if "/" in command:
        return [*found, posixpath.join(cwd, command)]
    return found + [posixpath.join(cwd, part, command) for part in env.get("PATH", "").split(":") if part]


def not_found(command: str) -> ContainerRefused:
    """The words of runc, which people search for."""
    where = "no such file or directory" if "/" in command else "executable file not found in $PATH"
    return ContainerRefused(f'exec: "{command}": {where}', {"reason": "RunContainerError"})
