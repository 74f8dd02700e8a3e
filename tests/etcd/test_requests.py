"""Who waits for what, and what they are told when the leadership under which they asked ends."""

from __future__ import annotations

from actorkube.runtime.reply import ReplyHandle
from actors.etcd.requests import ENTRY_COMMANDS_MAX, GATHER_S, Requests, WaitingRead, Write
from protocols.errors import Answer, AskError, Unknown
from protocols.etcd import LeaseNotFound, NotLeader, Op, Range, Txn
from protocols.message import Done, Message


class Told(ReplyHandle):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.answers: list[object] = []

    def send(self, reply: Message | None) -> None:
        self.answers.append(reply)

    def fail(self, error: Answer | AskError) -> None:
        self.answers.append(type(error))


def write(told: Told, value: bytes = b"v") -> Write:
    return Write(Txn((), (Op("put", b"a", value),)), told, len(value))


def read(told: Told) -> WaitingRead:
    return WaitingRead(Range(b"a"), told, 0.0)


def test_each_write_of_an_entry_gets_its_own_result() -> None:
    one, other = Told(), Told()
    requests = Requests()
    requests.add_write(write(one))
    requests.add_write(write(other))
    [portion] = requests.take_writes(0.0)
    requests.proposed(7, portion)

    assert requests.take_proposed(6) is None
    requests.answer(requests.take_proposed(7) or [], [Done(), LeaseNotFound("no")])

    assert (one.answers, other.answers) == ([Done()], [LeaseNotFound])


def test_writes_are_cut_into_entries_by_number_and_by_size() -> None:
    requests = Requests()
    for _ in range(ENTRY_COMMANDS_MAX + 1):
        requests.add_write(write(Told()))
    by_number = [len(portion) for portion in requests.take_writes(0.0)]
    for _ in range(3):
        requests.add_write(write(Told(), b"x" * 700_000))
    by_size = [len(portion) for portion in requests.take_writes(0.0)]

    assert by_number == [ENTRY_COMMANDS_MAX, 1]
    assert sum(by_size) == 3 and max(by_size) <= 2
    assert requests.take_writes(0.0) == []


def test_when_the_leader_changes_a_write_is_unknown_once_it_was_proposed_and_refused_before() -> None:
    proposed, waiting = Told(), Told()
    requests = Requests()
    requests.add_write(write(proposed))
    requests.proposed(1, requests.take_writes(0.0)[0])
    requests.add_write(write(waiting))

    requests.fail_all(NotLeader("", {"leader": ""}))

    assert (proposed.answers, waiting.answers) == ([Unknown], [NotLeader])


def test_when_the_leader_changes_a_read_may_be_asked_again() -> None:
    confirming, waiting = Told(), Told()
    requests = Requests()
    requests.add_read(read(confirming))
    requests.asked_round(1, 0.0)
    requests.add_read(read(waiting))

    requests.fail_all(NotLeader("", {"leader": ""}))

    assert (confirming.answers, waiting.answers) == ([NotLeader], [NotLeader])
    assert requests.take_reads(1) == []


def test_what_another_leader_puts_at_an_index_answers_nobody() -> None:
    told = Told()
    requests = Requests()
    requests.add_write(write(told))
    requests.proposed(1, requests.take_writes(0.0)[0])
    requests.fail_all(NotLeader("", {"leader": ""}))

    assert requests.take_proposed(1) is None
    assert told.answers == [Unknown]


def test_a_confirmed_round_answers_the_reads_of_earlier_rounds_too() -> None:
    requests = Requests()
    asked = [read(Told()) for _ in range(3)]
    for number, each in enumerate(asked, 1):
        requests.add_read(each)
        requests.asked_round(number, 0.0)

    assert requests.take_reads(2) == asked[:2]
    assert requests.take_reads(3) == asked[2:]


def test_while_a_batch_is_under_way_the_next_one_gathers_but_not_for_long() -> None:
    requests = Requests()
    requests.add_write(write(Told()))
    requests.add_read(read(Told()))
    requests.proposed(1, requests.take_writes(0.0)[0])
    requests.asked_round(1, 0.0)
    requests.add_write(write(Told()))
    requests.add_read(read(Told()))

    assert not requests.may_go(GATHER_S / 2)
    assert requests.writes_may_go(GATHER_S) and requests.reads_may_go(GATHER_S)


def test_when_the_batch_is_applied_what_has_gathered_goes_at_once() -> None:
    requests = Requests()
    for index in (1, 2):
        requests.add_write(write(Told()))
        if index == 1:
            requests.proposed(1, requests.take_writes(0.0)[0])

    requests.take_proposed(1)

    assert requests.writes_may_go(0.0)
