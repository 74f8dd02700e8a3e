"""The configuration that a scheduler runs with, as /configz tells it: a KubeSchedulerConfiguration. What a plugin was
given as arguments is not told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorkube.kube.election import LeaderElection
from actors.scheduler.framework import POINTS, Plugin, Profile
from actors.scheduler.queue import Backoff

GROUP = "kubescheduler.config.k8s.io"


def told(profiles: Sequence[Profile], backoff: Backoff, election: LeaderElection | None) -> dict[str, Any]:
    return {
        GROUP: {
            "apiVersion": f"{GROUP}/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": _election(election),
            "percentageOfNodesToScore": 100,
            "podInitialBackoffSeconds": backoff.initial_s,
            "podMaxBackoffSeconds": backoff.max_s,
            "profiles": [_profile(profile) for profile in profiles],
        }
    }


def _election(election: LeaderElection | None) -> dict[str, Any]:
    if election is None:
        return {"leaderElect": False}
    return {
        "leaderElect": True,
        "leaseDuration": f"{election.lease_duration_s:g}s",
        "renewDeadline": f"{election.renew_deadline_s:g}s",
        "retryPeriod": f"{election.retry_period_s:g}s",
        "resourceLock": "leases",
        "resourceName": election.name,
        "resourceNamespace": election.namespace,
    }


def _profile(profile: Profile) -> dict[str, Any]:
    """Who takes part at each point, in order; of scores with their weights."""
    weights = {plugin.name: weight for plugin, weight in profile.score}
    return {
        "schedulerName": profile.name,
        "plugins": {
            point: {"enabled": [_enabled(plugin, weights if point == "score" else {}) for plugin in plugins]}
            for point in POINTS
            if (plugins := profile.at(point))
        },
    }


def _enabled(plugin: Plugin, weights: dict[str, int]) -> dict[str, Any]:
    return {"name": plugin.name, **({"weight": weights[plugin.name]} if plugin.name in weights else {})}
