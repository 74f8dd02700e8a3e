"""From the chosen node to the binding: Reserve and Permit, and Unreserve for whatever fails there or later. Pure."""

from __future__ import annotations

from actors.scheduler.counts import Counts, clock
from actors.scheduler.framework import Attempt, Profile, Refusal, Wait
from actors.scheduler.plugin_failure import PluginFailed, ask_plugin
from actors.scheduler.waiting_pods import Refused

Waits = dict[str, float]  # plugin -> seconds at most


def reserve(profile: Profile, attempt: Attempt, counts: Counts) -> Refused | None:
    """The first refusal, if any. Raises PluginFailed. Either way `unreserve` is up to the caller."""
    began, status = clock(), "Error"
    try:
        for plugin in profile.reserve:
            refusal = ask_plugin(plugin.reserve, attempt)
            if refusal is not None:
                status = "Unschedulable"
                return Refused(plugin.name, refusal)
        status = "Success"
        return None
    finally:
        counts.point("Reserve", status, profile.name, began)


def permit(profile: Profile, attempt: Attempt, counts: Counts) -> Refused | Waits:
    """Who wants the pod to wait, and for how long; nobody: it may be bound. Raises PluginFailed."""
    began, status = clock(), "Error"
    waits: Waits = {}
    try:
        for plugin in profile.permit:
            match ask_plugin(plugin.permit, attempt):
                case Refusal() as refusal:
                    status = "Unschedulable"
                    return Refused(plugin.name, refusal)
                case Wait(timeout_s):
                    waits[plugin.name] = timeout_s
        status = "Wait" if waits else "Success"
        return waits
    finally:
        counts.point("Permit", status, profile.name, began)


def unreserve(profile: Profile, attempt: Attempt, counts: Counts) -> list[PluginFailed]:
    """Every plugin gives back what it may have taken, the last first; one that fails does not keep others from it."""
    began, failures = clock(), []
    for plugin in reversed(profile.reserve):
        try:
            ask_plugin(plugin.unreserve, attempt)
        except PluginFailed as failure:
            failures.append(failure)
    if profile.reserve:
        counts.point("Unreserve", "Success", profile.name, began)
    return failures


def post_bind(profile: Profile, attempt: Attempt, counts: Counts) -> list[PluginFailed]:
    began, failures = clock(), []
    for plugin in profile.post_bind:
        try:
            ask_plugin(plugin.post_bind, attempt)
        except PluginFailed as failure:
            failures.append(failure)
    if profile.post_bind:
        counts.point("PostBind", "Success", profile.name, began)
    return failures
