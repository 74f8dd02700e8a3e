"""The supervision tree of one system: carries out what the groups' machines (group_state.py) decide.

A branch is a group in the tree. It hangs from nothing (spawned by the system), from an actor (spawned through its
`ctx`: the actor's children), or from another branch (a group within a group). A crash goes up only when a branch gives
up: then the actor or the branch it hangs from has crashed, and at the top the system fails. A halt goes down:
children end before their parent does.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from zlib import crc32

from actorkube.runtime.actor import Actor, Ref
from actorkube.runtime.branch import Branch, Terms
from actorkube.runtime.cell import Cell, State
from actorkube.runtime.group import DEFAULT, SHUTDOWN_S, Child, ChildLike, Restarting, Spec, as_spec
from actorkube.runtime.group_state import Effect, GiveUp, GroupState, Halt, Out, Ready, Start, Stopped, Wait
from actorkube.runtime.monitors import CRASHED, RESTARTED
from actorkube.runtime.supervisor import GaveUp, Supervision
from protocols.address import Address, actor_id

if TYPE_CHECKING:
    from actorkube.runtime.system import System


_address: Callable[[tuple[str, str]], Address] = partial(tuple.__new__, Address)  # a call less than by its own


class Tree:
    def __init__(self, system: System, make_cell: type[Cell]) -> None:
        self.cells: dict[int, Cell] = {}  # those that can be sent to, by number
        self._system = system
        self._make_cell = make_cell
        self._resting: dict[int, Cell] = {}  # ended, but its siblings' restart may bring it back: its name is taken
        self._tops: dict[Cell | Branch, None] = {}  # groups, and actors that were spawned alone
        self._terms = Terms(None, DEFAULT, "permanent")  # of the last one
        self._work: deque[tuple[Branch, Effect]] = deque()
        self._is_working = False
        self.is_stopping = False
        self._is_dead = False
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._handovers: dict[Cell, asyncio.Task[None]] = {}
        self._chance: random.Random | None = None

    # -- orders ---------------------------------------------------------------------------------------------------

    def spawn(self, parent: Cell | None, children: Sequence[ChildLike], supervision: Supervision | None) -> list[Ref]:
        """Start actors in order under one supervisor. Returns the actors of the group itself, in order.

        Raises ValueError for a name that is taken, RuntimeError when the parent (or the system) has ended.
        """
        self._check_parent(parent)
        specs = tuple([as_spec(child) for child in children])
        if len(specs) == 1 and isinstance(specs[0], Child):
            child = specs[0]
            return [self.spawn_alone(parent, child.factory, child.name, supervision, child.restart, child.shutdown_s)]
        branch = Branch(parent, parent.name if parent is not None else "", specs, supervision or DEFAULT)
        self._check_names(branch, specs, {})
        self._fill(branch)
        self._beside(parent)[branch] = None
        self.apply(branch, self.machine(branch).start())
        return [node.ref for node in branch.nodes.values() if isinstance(node, Cell)]

    def spawn_alone(
        self,
        parent: Cell | None,
        factory: Callable[[], Actor],
        name: str,
        supervision: Supervision | None,
        restart: Restarting,
        shutdown_s: float,
    ) -> Ref:
        """Start one actor under its own supervisor. It has started by then, or begun its `on_start`."""
        if parent is not None or self._is_dead:
            self._check_parent(parent)
        if parent is not None:
            name = f"{parent.name}/{name}"
        if not callable(factory):
            raise TypeError(f"{name} is made by a class or a function, for each life anew, not by {factory!r}")
        number = crc32(name.encode())  # as `actor_id`
        if number in self.cells or number in self._resting:
            raise taken(Address(self._system.name, name))
        terms = self._terms
        if terms.parent is not parent or terms.supervision is not (supervision or DEFAULT) or terms.restart != restart:
            terms = self._terms = Terms(parent, supervision or DEFAULT, restart)
        system = self._system
        cell = self.cells[number] = self._make_cell(system, name, factory, terms, system)
        if shutdown_s != SHUTDOWN_S:
            cell.rare.shutdown_s = shutdown_s
        (self._tops if parent is None else parent.rare.children)[cell] = None
        cell.begin()
        return Ref(_address((system.name, name)), number)

    async def kill(self, cell: Cell) -> None:
        """Stop one actor for good; its children end before it does."""
        rare = cell.rare
        if rare.gone is None:
            rare.gone = self._system.loop.create_future()
            branch = self.branch_of(cell)
            self.apply(branch, self.machine(branch).remove(cell.name))
        await asyncio.shield(rare.gone)

    async def replace(self, cell: Cell, factory: Callable[[], Actor]) -> None:
        """One hand-over of an actor after the other, whatever becomes of who asks for it."""
        from actorkube.runtime.handover import hand_over

        while (current := self._handovers.get(cell)) is not None:
            await asyncio.wait([current])
        task = self._handovers[cell] = self._live(hand_over(cell, factory))
        task.add_done_callback(lambda _: self._handovers.pop(cell, None))
        await asyncio.shield(task)

    async def end_children(self, cell: Cell) -> None:
        while children := cell.children:
            await self._end(next(reversed(children)))

    async def kill_child(self, parent: Cell, child: Ref) -> None:
        """Raises ValueError when it is not below the parent."""
        if child.address.system != self._system.name or not child.address.actor.startswith(f"{parent.name}/"):
            raise ValueError(f"{child.address} is no child of {parent.ref.address}")
        cell = self.cells.get(child.actor_id)
        if cell is not None:
            await self.kill(cell)

    async def drain(self, drain_s: float) -> None:
        """Last started, first drained: actors that were started earlier still answer it meanwhile."""
        loop = self._system.loop
        end = loop.time() + drain_s
        for cell in reversed(list(self.cells.values())):
            await cell.drain(max(0.0, end - loop.time()))

    async def stop(self) -> None:
        """Last started, first stopped."""
        self.is_stopping = True
        while self._tops:
            await self._end(next(reversed(self._tops)))
        self._is_dead = True

    async def abort(self) -> None:
        """As a killed process: nothing is restarted, no on_stop runs."""
        self.is_stopping = self._is_dead = True
        for task in list(self._tasks):
            task.cancel()
        for cell in list(self.cells.values()):
            await cell.halt()
            cell.home = None
        self.cells.clear()
        self._tops.clear()

    # -- what cells report ----------------------------------------------------------------------------------------

    def started(self, branch: Branch, name: str) -> None:
        if branch.state is not None:
            self.apply(branch, branch.state.started(name))

    def crashed(self, cell: Cell, error: BaseException) -> None:
        self._system.monitors.life_over(cell, CRASHED)
        self._ended(self.branch_of(cell), cell.name, error)

    def finished(self, cell: Cell) -> None:
        """The actor has ended by its own will."""
        self._ended(self.branch_of(cell), cell.name, None)

    def _ended(self, branch: Branch, name: str, error: BaseException | None) -> None:
        if error is not None:
            branch.error = error
        now = self._system.loop.time()
        self.apply(branch, self.machine(branch).ended(name, now, crashed=error is not None))

    # -- effects --------------------------------------------------------------------------------------------------

    def apply(self, branch: Branch, effects: Sequence[Effect]) -> None:
        """One effect after the other, also where carrying one out leads to more."""
        self._work.extend((branch, effect) for effect in effects)
        if self._is_working:
            return
        self._is_working = True
        try:
            while self._work and not self._is_dead:
                self._carry_out(*self._work.popleft())
        finally:
            self._is_working = False

    def _carry_out(self, branch: Branch, effect: Effect) -> None:
        match effect:
            case Start(name):
                self._start(branch.nodes[name])
            case Halt(name):
                self._halt(branch, branch.nodes[name])
            case Wait(ticket, delay_s):
                loop, context = self._system.loop, self._system.context
                loop.call_later(delay_s, self._due, branch, self.machine(branch), ticket, context=context)
            case Out(name):
                self._out(branch, name)
            case Ready():
                if isinstance(branch.parent, Branch):
                    self.apply(branch.parent, self.machine(branch.parent).started(branch.path))
            case GiveUp(child, restarts):
                self._give_up(branch, f"{self._system.name}/{child} crashed {restarts + 1} times")
            case Stopped():
                assert branch.done is not None
                branch.done.set_result(None)

    def _start(self, node: Cell | Branch) -> None:
        if isinstance(node, Branch):
            self._fill(node)
            self.apply(node, self.machine(node).start())
            return
        self._resting.pop(node.ref.actor_id, None)
        self._reachable(node)
        if node.lives:
            self._system.monitors.life_over(node, RESTARTED)
            self._system.log.info("actor restarts", actor=str(node.ref.address), restarts=node.lives)
        node.begin()

    def _halt(self, branch: Branch, node: Cell | Branch) -> None:
        if isinstance(node, Branch):
            self._live(self._halt_branch(branch, node))
        elif not node.children and node.halt_now():
            self.apply(branch, self.machine(branch).halted(node.name))
        else:
            self._live(self._halt_cell(branch, node))

    async def _halt_cell(self, branch: Branch, cell: Cell) -> None:
        await self.end_children(cell)
        await cell.stop()
        self.apply(branch, self.machine(branch).halted(cell.name))

    async def _halt_branch(self, parent: Branch, branch: Branch) -> None:
        await self._stop(branch)
        self.apply(parent, self.machine(parent).halted(branch.path))

    def _due(self, branch: Branch, state: GroupState, ticket: int) -> None:
        if branch.state is state:
            self.apply(branch, state.due(ticket))

    def _out(self, branch: Branch, name: str) -> None:
        node = branch.nodes[name]
        self._retire(node)
        if name in self.machine(branch).members:
            if isinstance(node, Cell):
                self._resting[node.ref.actor_id] = node
            return
        del branch.nodes[name]
        if not branch.nodes:
            self._drop(branch)

    def _give_up(self, branch: Branch, what: str) -> None:
        last = f"because {branch.error}" if isinstance(branch.error, GaveUp) else f"with {branch.error!r}"
        reason = f"{what}, last {last}"
        self._system.log.error("supervision gives up", reason=reason)
        error = GaveUp(reason)
        if isinstance(branch.parent, Branch):
            self._ended(branch.parent, branch.path, error)
        elif branch.parent is not None:
            branch.parent.crash(error)
        else:
            self._system.fail(reason)
            self._live(self._end(branch))

    def machine(self, branch: Branch) -> GroupState:
        assert branch.state is not None
        return branch.state

    def branch_of(self, cell: Cell) -> Branch:
        """Made now for an actor that was spawned alone: it has been told to start, and nothing happened since."""
        terms = cell.group
        if isinstance(terms, Branch):
            return terms
        path = terms.parent.name if terms.parent is not None else ""
        spec = Child(cell.name[len(path) + 1 :] if path else cell.name, cell.factory, terms.restart, cell.shutdown_s)
        branch = cell.group = Branch(terms.parent, path, [spec], terms.supervision)
        branch.alone = cell
        branch.nodes = {cell.name: cell}
        branch.state = GroupState(branch.supervision, branch.kinds(), self.chance, started=True)
        return branch

    # -- branches -------------------------------------------------------------------------------------------------

    def _check_parent(self, parent: Cell | None) -> None:
        if self._is_dead or (parent is not None and parent.state is State.STOPPED):
            raise RuntimeError(f"{parent.ref.address if parent else self._system.name} has ended: it has no children")

    def _beside(self, parent: Cell | None) -> dict[Cell | Branch, None]:
        """A parent's groups in the order of their start; an actor that is alone in its group stands for it."""
        return self._tops if parent is None else parent.rare.children

    def _reachable(self, cell: Cell) -> None:
        self.cells[cell.ref.actor_id] = cell
        cell.home = self._system

    def _check_names(self, branch: Branch, specs: Sequence[Spec], seen: dict[int, str]) -> None:
        for spec in specs:
            name = branch.name_of(spec)
            number = actor_id(name)
            if number in self.cells or number in self._resting or number in seen:
                raise taken(Address(self._system.name, name))
            seen[number] = name
            if not isinstance(spec, Child):
                inner = [as_spec(child) for child in spec.children]
                self._check_names(Branch(branch, name, inner, spec.supervision), inner, seen)

    def _fill(self, branch: Branch) -> None:
        """Make the machine, and what is missing of the nodes: actors that were there keep their mailboxes."""
        branch.done = None
        branch.state = GroupState(branch.supervision, branch.kinds(), self.chance)
        nodes, branch.nodes = branch.nodes, {}
        for spec in branch.specs:
            name = branch.name_of(spec)
            branch.nodes[name] = nodes.get(name) or self._make(branch, name, spec)

    def _make(self, parent: Branch, name: str, spec: Spec) -> Cell | Branch:
        if isinstance(spec, Child):
            cell = self._make_cell(self._system, name, spec.factory, parent)
            if spec.shutdown_s != SHUTDOWN_S:
                cell.rare.shutdown_s = spec.shutdown_s
            self._reachable(cell)
            return cell
        branch = Branch(parent, name, [as_spec(child) for child in spec.children], spec.supervision)
        self._fill(branch)
        return branch

    async def _stop(self, branch: Branch) -> None:
        """Halt all that is in it."""
        if branch.done is None:
            branch.done = self._system.loop.create_future()
            self.apply(branch, self.machine(branch).stop())
        await asyncio.shield(branch.done)

    async def _end(self, top: Cell | Branch) -> None:
        """Stop it for good."""
        branch = self.branch_of(top) if isinstance(top, Cell) else top
        await self._stop(branch)
        self._retire(branch)
        self._drop(branch)

    def _drop(self, branch: Branch) -> None:
        if not isinstance(branch.parent, Branch):
            self._beside(branch.parent).pop(branch.alone or branch, None)

    def _retire(self, node: Cell | Branch) -> None:
        """It has ended for good, or nearly so: nothing reaches it any more, and whoever asks is told."""
        if isinstance(node, Branch):
            for inner in reversed(list(node.nodes.values())):
                self._retire(inner)
            return
        number = node.ref.actor_id
        if self.cells.get(number) is node:
            del self.cells[number]
            node.home = None
            node.retire()
            self._system.monitors.gone(node)
        self._resting.pop(number, None)

    @property
    def chance(self) -> random.Random:
        if self._chance is None:
            self._chance = random.Random(f"{self._system.seed}/supervision")
        return self._chance

    def _live(self, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._system.loop.create_task(coro, context=self._system.context.copy())
        self._tasks[task] = None
        task.add_done_callback(lambda t: self._tasks.pop(t, None))
        return task


def taken(address: Address) -> ValueError:
    return ValueError(f"{address} exists already, or {address.actor!r} shares its number with another actor")
