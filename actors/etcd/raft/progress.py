"""What a leader knows about one follower, and what it should send it next.

A follower is *probed* (one message, then wait) until one append is accepted; from then on entries are *streamed*
without waiting, up to `inflight_max` unanswered messages, until one is refused. One that lacks entries which are
compacted here is sent the snapshot, a piece at a time (`transfer`). Names as in etcd's raft: `match` is known to be
durable there, `next` is where the next message starts.
"""

from __future__ import annotations

from collections import deque


class Transfer:
    """The snapshot on its way to one follower, which has told that it has the first `offset` bytes.

    One piece is out at a time, also where messages are doubled: an answer that tells nothing new sends nothing. That
    the follower has less than it had is only believed after a piece was sent again, or old answers would look so.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.offset = 0
        self.waiting = False  # the piece is out
        self._again = False
        self._offset_at_beat = -1

    def received(self, offset: int) -> None:
        if offset > self.offset or (self._again and offset < self.offset):
            self.offset = offset
            self.waiting = self._again = False

    def send_again(self) -> None:
        self.waiting, self._again = False, True

    def beat(self) -> bool:
        """Whether nothing came of it since the heartbeat before."""
        stalled = self.waiting and self.offset == self._offset_at_beat
        self._offset_at_beat = self.offset
        return stalled


class Progress:
    def __init__(self, last_index: int, now: float, inflight_max: int) -> None:
        self.match = 0
        self.next = last_index + 1
        self.streaming = False
        self.waiting = False  # probing: the one message is out
        self.stalled = False  # no step forward between two heartbeats although something is missing
        self.knock = False  # send an append without entries, to learn what the follower has
        self.heard_at = now
        self.round = 0
        self.told_commit = 0
        self.transfer: Transfer | None = None
        self._match_at_beat = -1
        self._inflight: deque[int] = deque()
        self._inflight_max = inflight_max

    def may_send(self, last_index: int) -> bool:
        if self.streaming:  # as nearly always
            return self.knock or (self.next <= last_index and len(self._inflight) < self._inflight_max)
        return not (self.waiting if self.transfer is None else self.transfer.waiting)

    def sent(self, last_index: int) -> None:
        """An append that ends at `last_index` left."""
        self.knock = False
        if not self.streaming:
            self.waiting = True
        elif last_index >= self.next:
            self.next = last_index + 1
            self._inflight.append(last_index)

    def accepted(self, index: int, base: int) -> bool:
        """Whether that was news. Who has the entry at the log's base needs no snapshot (any more)."""
        news = index > self.match
        if self.transfer is not None and index >= base:
            self.transfer = None
        self.match = max(self.match, index)
        self.next = max(self.next, index + 1)
        while self._inflight and self._inflight[0] <= index:
            self._inflight.popleft()
        if not self.streaming and self.transfer is None and (news or index == self.match):
            self.streaming, self.waiting, self.next = True, False, self.match + 1
        return news

    def refused(self, index: int, hint: int) -> None:
        """The follower lacks what comes before `index + 1`; it may match at `hint`. Old refusals are ignored."""
        if self.transfer is not None:
            return
        if index <= self.match:
            return
        if self.streaming:
            self._probe(self.match + 1)
        elif index == self.next - 1:
            self._probe(max(self.match + 1, min(index, hint + 1)))

    def send_snapshot(self, index: int) -> Transfer:
        """A piece of the snapshot of `index` leaves: where it goes on, or the beginning if it is another snapshot."""
        if self.transfer is None or self.transfer.index != index:
            self._probe(self.match + 1)
            self.transfer = Transfer(index)
        self.transfer.waiting = True
        return self.transfer

    def received(self, index: int, offset: int) -> None:
        """The follower says how much of the snapshot it has; less than before, if it had to begin again."""
        if self.transfer is not None and self.transfer.index == index:
            self.transfer.received(offset)

    def beat(self, last_index: int) -> None:
        """A heartbeat leaves. Without progress since the one before, what is under way may be lost."""
        if self.transfer is not None:
            self.stalled = self.transfer.beat()
            return
        self.stalled = self.match < last_index and self.match == self._match_at_beat
        self._match_at_beat = self.match

    def answered_beat(self) -> None:
        """It is there. If it is stalled, ask again: the probe, or anything that a gap makes it refuse."""
        if self.stalled:
            self.stalled = False
            self.waiting = False
            self.knock = self.streaming
            if self.transfer is not None:
                self.transfer.send_again()

    def check(self, last_index: int) -> None:
        assert self.match < self.next <= last_index + 1, (self.match, self.next, last_index)
        assert not (self.streaming and (self.waiting or self.transfer is not None))
        assert len(self._inflight) <= self._inflight_max

    def _probe(self, following: int) -> None:
        self.streaming, self.waiting, self.knock = False, False, False
        self.next = following
        self._inflight.clear()
