"""A plugin that raises: whose fault it is, so that its pod is told and everybody else goes on.

Plugins may be anybody's code. A bug in one costs the pods that it looks at a back-off, not the scheduler its life.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from actors.scheduler.framework import Plugin

P = ParamSpec("P")
R = TypeVar("R")


class PluginFailed(Exception):
    def __init__(self, plugin: str, error: Exception) -> None:
        super().__init__(f'running plugin "{plugin}": {type(error).__name__}: {error}')
        self.plugin = plugin


def names_plugin(ask: Callable[P, R]) -> Callable[P, R]:
    """What plugins raise in there is raised as PluginFailed; what is nobody's but ours stays a crash."""

    @functools.wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        return ask_plugin(ask, *args, **kwargs)

    return asked


def ask_plugin(ask: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for one question."""
    try:
        return ask(*args, **kwargs)
    except PluginFailed:
        raise
    except Exception as error:
        plugin = culprit(error)
        if plugin is None:
            raise
        raise PluginFailed(plugin.name, error) from error


def culprit(error: Exception) -> Plugin | None:
    """The plugin whose method the error came out of, if it was one's."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        caller = traceback.tb_frame.f_locals.get("self")
        found = caller if isinstance(caller, Plugin) else found
        traceback = traceback.tb_next
    return found
