"""A cluster's scheduler: its configuration read from a file, and the actor that it makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from actorkube.runtime import Actor

if TYPE_CHECKING:
    from actorkube.kube.election import LeaderElection
    from actors.cluster import ClusterSpec
    from actors.scheduler.config import SchedulerConfig
    from actors.scheduler.extenders import Extender
    from actors.scheduler.framework import Profile
    from actors.scheduler.queue import Backoff


class Setup(NamedTuple):
    """How the schedulers of a cluster decide. `election`: where there are several, or the file says so, each works
    while it leads."""

    profiles: Sequence[Profile]
    backoff: Backoff
    election: LeaderElection | None
    extenders: Sequence[Extender] = ()

    def told(self) -> Mapping[str, Any]:
        from actors.scheduler.config_told import told

        return told(self.profiles, self.backoff, self.election)


def scheduler_setup(file: Path | None, schedulers: int) -> Setup:
    """Of one of so many schedulers."""
    from actors.scheduler.profile import DEFAULT_PROFILE
    from actors.scheduler.queue import BACKOFF

    config = scheduler_config(file) if file is not None else None
    profiles = config.profiles if config is not None else [DEFAULT_PROFILE]
    backoff = config.backoff if config is not None else BACKOFF
    extenders = config.extenders if config is not None else ()
    return Setup(profiles, backoff, election_of(config, schedulers), extenders)


def scheduler_of(setup: Setup, apis: Sequence[str]) -> Callable[[], Actor]:
    from actorkube.kube.elected import Elected
    from actors.scheduler.actor import Scheduler

    profiles, backoff, election, extenders = setup

    def scheduler() -> Actor:
        return Scheduler(profiles=profiles, api=apis, backoff=backoff, extenders=extenders)

    return scheduler if election is None else lambda: Elected(scheduler, election, apis)


def election_of(config: SchedulerConfig | None, schedulers: int) -> LeaderElection | None:
    from actorkube.kube.election import LeaderElection
    from actors.scheduler.config import LEASE_NAME

    election = config.leader_election if config is not None else None
    return election or (LeaderElection(LEASE_NAME) if schedulers > 1 else None)


def scheduler_elects(spec: ClusterSpec) -> bool:
    """Whether the schedulers of a cluster take a lease."""
    if spec.scheduler_config is None:
        return spec.schedulers > 1  # nothing has to be imported for that
    return election_of(scheduler_config(spec.scheduler_config), spec.schedulers) is not None


def reserved_names(spec: ClusterSpec) -> Callable[[str], bool]:
    """Whether a system's name is one that nobody has who joins the cluster: whoever holds a join file is no component
    of the control plane, but a scheduler beside those that take a lease."""

    def reserved(system: str) -> bool:
        from actors.apiserver.callers import is_component

        return is_component(system, schedulers_join=scheduler_elects(spec))

    return reserved


def check_joins(file: Path | None, name: str) -> None:
    """Raises CliError when no scheduler of that name can join, or its configuration is wrong."""
    from actorkube.cli.errors import CliError

    if not re.fullmatch(r"scheduler-[-a-z0-9]*[a-z0-9]", name) or name.endswith(("-kubelet", "-proxy", "-runtime")):
        raise CliError(f"{name!r} is no name for a scheduler", "name it as in --name scheduler-here")
    if file is not None:
        scheduler_config(file)


def scheduler_profiles(path: Path) -> list[Profile]:
    """The profiles of a KubeSchedulerConfiguration. Raises CliError with the line of what is wrong there."""
    return scheduler_config(path).profiles


def scheduler_notes(path: Path) -> list[str]:
    """What such a file says that has no effect here, with its lines. Raises CliError."""
    return scheduler_config(path).notes


def scheduler_config(path: Path) -> SchedulerConfig:
    from actorkube.cli.errors import CliError
    from actors.scheduler.config import ConfigError, load_config

    try:
        return load_config(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {path}: {error}", "--scheduler-config wants a file") from None
    except ConfigError as error:
        raise CliError(str(error), "see docs/scheduler.md") from None
