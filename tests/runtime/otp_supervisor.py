"""OTP's `supervisor`, line by line, slow and obvious: what group_state.py is compared with.

One process that takes one message at a time. Starting a child and terminating one block it; exits that come meanwhile
wait in its mailbox, and the exit of a child that was terminated meanwhile is nobody's. Names are those of
lib/stdlib/src/supervisor.erl. The one thing added is that `try_again_restart` comes after a back-off.
"""

from __future__ import annotations

from collections.abc import Iterator


class Child:
    def __init__(self, name: str, restart: str) -> None:
        self.name = name
        self.restart = restart
        self.pid: int | str = "undefined"  # a number, "undefined" or "restarting"


class Shutdown(Exception):
    """The supervisor has terminated its children and exits."""


class OtpSupervisor:
    """`calls` are what it did: ("start", name), ("terminate", name). `fails` says which starts fail."""

    def __init__(self, strategy: str, intensity: int, period: float, children: list[tuple[str, str]]) -> None:
        self.strategy = strategy
        self.intensity = intensity
        self.period = period
        self.children = [Child(name, restart) for name, restart in children]
        self.restarts: list[float] = []
        self.calls: list[tuple[str, str]] = []
        self.fails: Iterator[bool] = iter(())
        self.pids = 0

    def find(self, name: str) -> Child | None:
        return next((child for child in self.children if child.name == name), None)

    def running(self) -> list[str]:
        return [child.name for child in self.children if isinstance(child.pid, int)]

    # -- start and terminate --------------------------------------------------------------------------------------

    def start_child(self, child: Child) -> bool:
        self.calls.append(("start", child.name))
        if next(self.fails, False):
            return False
        self.pids += 1
        child.pid = self.pids
        return True

    def do_terminate(self, child: Child) -> None:
        if isinstance(child.pid, int):
            self.calls.append(("terminate", child.name))
        child.pid = "undefined"

    def terminate_children(self, children: list[Child]) -> None:
        for child in reversed(children):
            self.do_terminate(child)
            if child.restart == "temporary":
                self.children.remove(child)

    # -- handle_info({'EXIT', ...}) -------------------------------------------------------------------------------

    def exit(self, name: str, now: float, *, normal: bool) -> None:
        child = self.find(name)
        if child is None or not isinstance(child.pid, int):
            return
        if child.restart == "permanent" or (child.restart == "transient" and not normal):
            self.restart(child, now)
        elif child.restart == "temporary":
            self.children.remove(child)
        else:
            child.pid = "undefined"

    def restart(self, child: Child, now: float) -> None:
        self.restarts = [at for at in self.restarts if at > now - self.period] + [now]
        child.pid = "restarting"
        if len(self.restarts) > self.intensity:
            raise Shutdown
        at = self.children.index(child)
        if self.strategy == "rest_for_one":
            self.terminate_children(self.children[at + 1 :])
        elif self.strategy == "one_for_all":
            self.terminate_children([other for other in self.children if other is not child])

    def try_again_restart(self, name: str, now: float) -> None:
        """The back-off of a child is over."""
        child = self.find(name)
        if child is None or child.pid != "restarting":
            return
        child.pid = "undefined"
        at = self.children.index(child)
        todo = {"one_for_one": [child], "rest_for_one": self.children[at:], "one_for_all": list(self.children)}
        for one in todo[self.strategy]:
            if not self.start_child(one):
                self.restart(one, now)
                return

    # -- terminate ------------------------------------------------------------------------------------------------

    def terminate(self) -> None:
        self.terminate_children(list(self.children))
