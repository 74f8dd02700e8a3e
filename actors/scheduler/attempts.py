"""From the chosen node to the binding: Reserve and Permit, and Unreserve for whatever fails there or later. Pure."""

from __future__ import annotations

from actors.scheduler.framework import Attempt, Profile, Refusal, Wait
from actors.scheduler.plugin_failure import PluginFailed, ask_plugin
from actors.scheduler.waiting_pods import Refused

Waits = dict[str, float]  # plugin -> seconds at most


def reserve(profile: Profile, attempt: Attempt) -> Refused | None:
    """The first refusal, if any. Raises PluginFailed. Either way `unreserve` is up to the caller."""
    for plugin in profile.reserve:
        refusal = ask_plugin(plugin.reserve, attempt)
        if refusal is not None:
            return Refused(plugin.name, refusal)
    return None


def permit(profile: Profile, attempt: Attempt) -> Refused | Waits:
    """Who wants the pod to wait, and for how long; nobody: it may be bound. Raises PluginFailed."""
    waits: Waits = {}
    for plugin in profile.permit:
        match ask_plugin(plugin.permit, attempt):
            case Refusal() as refusal:
                return Refused(plugin.name, refusal)
            case Wait(timeout_s):
                waits[plugin.name] = timeout_s
    return waits


def unreserve(profile: Profile, attempt: Attempt) -> list[PluginFailed]:
    """Every plugin gives back what it may have taken, the last first; one that fails does not keep others from it."""
    failures = []
    for plugin in reversed(profile.reserve):
        try:
            ask_plugin(plugin.unreserve, attempt)
        except PluginFailed as failure:
            failures.append(failure)
    return failures


def post_bind(profile: Profile, attempt: Attempt) -> list[PluginFailed]:
    failures = []
    for plugin in profile.post_bind:
        try:
            ask_plugin(plugin.post_bind, attempt)
        except PluginFailed as failure:
            failures.append(failure)
    return failures
