"""Transcripts: what is done to some cores, and all that they say and become, as text that can be read as a story.

    python -m tests.etcd.transcript          writes anew what follows each command, for a look at the difference

A line that begins with `>` is a command, `#` begins a remark; what stands below a command is what came of it.

    > members 3                  three members, m0 to m2; newcomers n0 to n3 know of nobody
    > time out m0                its timer runs out
    > deliver [a member]         what is under way arrives (to it), and becomes durable, until nothing is left
    > lose m1                    what is under way to it is lost
    > give m0 WORD               a client's write
    > change m0 remove m1 ...    learn, add, promote, remove
    > hand over m0 m1            a leader lets another lead
    > crash m1                   and is back with what was durable
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actors.etcd.raft.configurations import decode_configuration
from actors.etcd.raft.types import Change, Dropped, Outgoing, Refused
from protocols.raft import Appended, AppendEntries, Configuration, Entry, RaftMessage, RequestVote, Voted
from tests.etcd.raft_model import Bounds, Model
from tests.etcd.raft_world import Member

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


def retold(text: str) -> str:
    """The transcript with what really comes of its commands."""
    told, play = [], Play()
    for line in text.splitlines():
        if line.startswith(">"):
            told += [line, *play.do(line[1:].split())]
        elif line.startswith("#") or not line:
            told.append(line)
    return "\n".join(told) + "\n"


class Play:
    def __init__(self) -> None:
        self.model: Model
        self._seen: dict[str, str] = {}

    def do(self, words: list[str]) -> Iterator[str]:
        match words:
            case ["members", count]:
                self.model = Model(int(count), Bounds(change=(Change("add", "n0"), Change("add", "n1"))))
            case ["time", "out", name]:
                self._act("time_out", name)
            case ["deliver", *names]:
                yield from self._deliver(names)
            case ["lose", *names]:
                self.model.network = [out for out in self.model.network if out.to not in names]
            case ["give", name, word]:
                yield from self._give(self._member(name), word)
            case ["change", name, *steps]:
                yield from self._change(self._member(name), steps)
            case ["hand", "over", name, to]:
                raft = self._member(name).raft
                assert raft is not None
                if not raft.hand_over(to, self.model.clock(self._member(name))):
                    yield "  refused"
                self.model.turn(self._member(name))
            case ["crash", name]:
                self._act("lose_power", name)
            case _:
                raise ValueError(f"no such command: {' '.join(words)}")
        yield from self._news()

    def _member(self, name: str) -> Member:
        return self.model.members[name]

    def _act(self, kind: str, what: str) -> None:
        self.model.left = Bounds(timeouts=9, crashes=9)
        self.model.act(kind, what)

    def _deliver(self, names: list[str]) -> Iterator[str]:
        for _ in range(1_000):
            for name in names or self.model.members:
                while self._member(name).jobs:
                    self._act("persist", name)
            position = next((i for i, out in enumerate(self.model.network) if not names or out.to in names), None)
            if position is None:
                return
            yield f"  {described(self.model.network[position])}"
            self.model.act("arrive", position)
        raise AssertionError("the members talk without end")

    def _give(self, member: Member, word: str) -> Iterator[str]:
        assert member.raft is not None
        if isinstance(given := member.raft.propose(word.encode()), Dropped):
            yield f"  not taken: {given.value}"
        self.model.turn(member)

    def _change(self, member: Member, steps: list[str]) -> Iterator[str]:
        assert member.raft is not None
        changes = [Change(kind, name) for kind, name in zip(steps[::2], steps[1::2], strict=True)]  # type: ignore[arg-type]
        if isinstance(begun := member.raft.change(changes, self.model.clock(member)), Refused):
            yield f"  refused: {begun.value}"
        self.model.turn(member)

    def _news(self) -> Iterator[str]:
        """What each member has become, if that is new."""
        self.model.check()
        for name, member in self.model.members.items():
            assert member.raft is not None
            raft, log = member.raft, member.raft.log
            role = "leads" if raft.leading_term else f"follows {raft.leader}" if raft.leader else "knows no leader"
            state = f"{name} {role} in term {raft.term}, log to {log.last_index}, committed {log.committed}"
            state += f", {members(log.configuration)}" if log.configuration.voters else ""
            if state != self._seen.get(name) and (name in self._seen or log.last_index or raft.leader):
                self._seen[name] = state
                yield f"    {state}"


def members(configuration: Configuration) -> str:
    parts = [" ".join(configuration.voters)]
    if configuration.outgoing:
        parts.append(f"from {' '.join(configuration.outgoing)}")
    if configuration.learners:
        parts.append(f"learning {' '.join(configuration.learners)}")
    return f"[{', '.join(parts)}]"


def described(outgoing: Outgoing) -> str:
    message = outgoing.message
    return f"{message.source} -> {outgoing.to}  {type(message).__name__} {_details(message)}".rstrip()


def _details(message: RaftMessage) -> str:
    match message:
        case AppendEntries():
            entries = " ".join(_entry(entry) for entry in message.entries)
            return f"after {message.previous_term}/{message.previous_index}: {entries or '-'}; commit {message.commit}"
        case Appended():
            return f"up to {message.index}" if message.accepted else f"not after {message.index}"
        case RequestVote():
            kind = "would you?" if message.pre else "for the leader" if message.transfer else ""
            return f"term {message.term}, log {message.last_term}/{message.last_index} {kind}"
        case Voted():
            return f"{'yes' if message.granted else 'no'}, term {message.term}"
        case _:
            return f"term {message.term}"


def _entry(entry: Entry) -> str:
    what = members(decode_configuration(entry.data)) if entry.configures else entry.data.decode() or "-"
    return f"{entry.term}/{entry.index} {what}"


if __name__ == "__main__":
    for path in TRANSCRIPTS:
        path.write_text(retold(path.read_text()))
