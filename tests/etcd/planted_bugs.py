"""Bugs that were planted to see whether a test finds each. Most are ones that other implementations have had.

    python -m tests.etcd.planted_bugs            plants each in a copy of the tree, and runs the tests for it
    python -m tests.etcd.planted_bugs lease      only those whose name has the word

A bug is one replacement of text. That each can still be planted is checked by every test run (test_planted_bugs.py);
whether each is found takes some minutes, so that is asked for by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ETCD = "actors/etcd"

CORE = f"{ETCD}/raft/core.py"
LEADERSHIP = f"{ETCD}/raft/leadership.py"
LOG = f"{ETCD}/raft/log.py"
PROGRESS = f"{ETCD}/raft/progress.py"
QUORUM = f"{ETCD}/raft/quorum.py"
CONFCHANGE = f"{ETCD}/raft/confchange.py"
CONFIGURATIONS = f"{ETCD}/raft/configurations.py"
HANDOVER = f"{ETCD}/raft/handover.py"
READ_LEASE = f"{ETCD}/raft/read_lease.py"
KEYS = f"{ETCD}/mvcc/keys.py"
STORE = f"{ETCD}/mvcc/store.py"
LEASES = f"{ETCD}/mvcc/leases.py"
WATCH = f"{ETCD}/mvcc/watch.py"
SPAN = f"{ETCD}/mvcc/span.py"
STATE = f"{ETCD}/mvcc/state.py"
TXN = f"{ETCD}/mvcc/txn.py"
INTEREST = f"{ETCD}/mvcc/interest.py"
UPKEEP = f"{ETCD}/upkeep.py"
WAL = f"{ETCD}/wal.py"
STORAGE = f"{ETCD}/storage.py"
RECORDS = f"{ETCD}/records.py"
SNAPSHOT = f"{ETCD}/snapshot.py"
DUMP = f"{ETCD}/mvcc/dump.py"
ARRIVAL = f"{ETCD}/raft/arrival.py"
REQUESTS = f"{ETCD}/requests.py"
FEEDS = f"{ETCD}/feeds.py"
ACTOR = f"{ETCD}/actor.py"
DISK_WORK = f"{ETCD}/disk_work.py"
RAFT = ("test_raft_core", "test_raft_snapshots", "test_raft_world")
MEMBERS = ("test_raft_members", "test_raft_world")
BY_LEASE = ("test_raft_leases", "test_raft_world")
MVCC = ("test_mvcc", "test_store")
LOG_FORMAT = ("test_wal",)
SNAPSHOTS = ("test_snapshot",)
REPLICA_SET = ("test_etcd_sim", "test_etcd_actor", "test_storage", "test_requests")


class Bug(NamedTuple):
    """In `file`, `right` stands exactly once; `wrong` in its place must make a test of `found_by` fail."""

    name: str
    file: str
    right: str
    wrong: str
    found_by: tuple[str, ...]


BUGS = [
    Bug(
        "members: who is removed by an entry that only it has does not campaign",
        CORE,
        "known = self.log.configurations.since(self.log.committed)",
        "known = [self.log.configuration]",
        MEMBERS,
    ),
    Bug(
        "read lease: a member that starts again has forgotten what it promised",
        CORE,
        "self._promised = config.lease_s > 0 and self.term > 0",
        "self._promised = False",
        BY_LEASE,
    ),
    Bug(
        "read lease: a promise ends with the connection to the leader",
        CORE,
        "if not member or member != self.leader or self._promised:",
        "if not member or member != self.leader:",
        BY_LEASE,
    ),
    Bug(
        "whose connection to the leader ends waits for it like everybody",
        CORE,
        "        self._due = min(self._due, now + self._chance.uniform(*self.config.first_election_s))\n",
        "",
        ("test_raft_core",),
    ),
    Bug(
        "who lost the leader and a vote waits for it like everybody",
        CORE,
        'self.leader, self._is_led, self._pre_votes, self._candidacies = "", False, 0, 0',
        'self.leader = ""',
        ("test_raft_core",),
    ),
    Bug(
        "nobody minds the connection to the leader",
        "actors/etcd/actor.py",
        "        self._peers.mind(self._raft.leader)\n",
        "",
        ("test_etcd_actor",),
    ),
    Bug(
        "read lease: a promise ends with the term",
        CORE,
        "return (bool(self.leader) or self._promised) and",
        "return bool(self.leader) and",
        BY_LEASE,
    ),
    Bug(
        "read lease: kept although somebody was told to take over",
        LEADERSHIP,
        "if self._config.lease_s and not self.handover.began:",
        "if self._config.lease_s:",
        BY_LEASE,
    ),
    Bug(
        "read lease: counted from the answer to the heartbeat",
        READ_LEASE,
        "self._until = self._beats.popleft()[1] + self._lease_s",
        "self._until = now + self._lease_s + 0 * self._beats.popleft()[1]",
        BY_LEASE,
    ),
    Bug(
        "read lease: never over",
        READ_LEASE,
        "self._asked = now < self._until",
        "self._asked = self._until > 0",
        BY_LEASE,
    ),
    Bug(
        "members: the new majority commits alone while voters change",
        CONFCHANGE,
        "        return (configuration.voters, configuration.outgoing)\n",
        "        return (configuration.voters,)\n",
        MEMBERS,
    ),
    Bug(
        "members: the old majority elects alone while voters change",
        QUORUM,
        "    return Outcome.PENDING if Outcome.PENDING in outcomes else Outcome.WON\n",
        "    return Outcome.WON if Outcome.WON in outcomes else Outcome.PENDING\n",
        MEMBERS,
    ),
    Bug(
        "members: voters change in one step",
        CONFCHANGE,
        "target, outgoing=configuration.voters, addresses=addresses)",
        "target, outgoing=(), addresses=addresses)",
        MEMBERS,
    ),
    Bug(
        "members: the joint configuration is left before it is committed",
        LEADERSHIP,
        "if log.configuration.outgoing and log.configurations.index <= log.committed:",
        "if log.configuration.outgoing:",
        MEMBERS,
    ),
    Bug(
        "members: a second change before the first is committed",
        LEADERSHIP,
        "if log.committed < max(self.first_index, log.configurations.index):",
        "if log.committed < self.first_index:",
        MEMBERS,
    ),
    Bug(
        "members: nobody leaves the joint configuration",
        LEADERSHIP,
        "            self._leave_joint()\n",
        "",
        MEMBERS,
    ),
    Bug(
        "members: a configuration outlives its entry",
        LOG,
        "        self.configurations.cut(last)\n",
        "",
        MEMBERS,
    ),
    Bug(
        "members: a snapshot's configuration is not taken",
        CORE,
        "self.log.restore(snapshot.mark, snapshot.configuration or self.log.configuration)",
        "self.log.restore(snapshot.mark, self.log.configuration)",
        MEMBERS,
    ),
    Bug(
        "members: a snapshot has the newest configuration, not the one at its end",
        CONFIGURATIONS,
        "reversed(self._marks) if start <= index",
        "reversed(self._marks)",
        MEMBERS,
    ),
    Bug(
        "members: a learner counts",
        CONFCHANGE,
        "return (configuration.voters,)",
        "return ((*configuration.voters, *configuration.learners),)",
        MEMBERS,
    ),
    Bug(
        "members: a learner campaigns",
        CORE,
        '        elif not self.has_vote:\n            self.leader = ""\n            self._await_leader(now)\n',
        "",
        MEMBERS,
    ),
    Bug(
        "members: a learner is promoted whatever it lacks",
        LEADERSHIP,
        'if any(step.kind == "promote" and not self._has_caught_up(step.name) for step in changes):',
        "if False:",
        MEMBERS,
    ),
    Bug(
        "members: a leader that is removed counts itself",
        LEADERSHIP,
        "            for voters in confchange.majorities(configuration)\n",
        "            for voters in [{own, *names} for names in confchange.majorities(configuration)]\n",
        MEMBERS,
    ),
    Bug(
        "members: a leader that is removed goes on",
        CORE,
        "self.leadership is not None and self.leadership.is_retired:",
        "False:",
        MEMBERS,
    ),
    Bug(
        "transfer: the other is told before it has everything",
        HANDOVER,
        "if self._told or not caught_up:",
        "if self._told:",
        MEMBERS,
    ),
    Bug(
        "transfer: a leader never gives up on it",
        HANDOVER,
        "if self.to and now >= self._until:",
        "if False:",
        MEMBERS,
    ),
    Bug(
        "transfer: refused because the leader works",
        CORE,
        "if message.pre or (self._hears_leader(now) and not message.transfer):",
        "if message.pre or self._hears_leader(now):",
        MEMBERS,
    ),
    Bug(
        "raft: commit entries of older terms",
        LEADERSHIP,
        "index > log.committed and log.term_at(index) == self.term",
        "index > log.committed",
        RAFT,
    ),
    Bug(
        "raft: ack before persisted",
        CORE,
        "        log.commit(min(message.commit, last))\n        self._send_when_persisted(",
        "        log.commit(min(message.commit, last))\n        self._send(",
        RAFT,
    ),
    Bug(
        "raft: vote not durable before answer",
        CORE,
        "            self._send_when_persisted(request.source, answer)",
        "            self._send(request.source, answer)",
        RAFT,
    ),
    Bug(
        "raft: candidacy before persisted",
        CORE,
        "(self._send if pre else self._send_when_persisted)(peer, request)",
        "self._send(peer, request)",
        RAFT,
    ),
    Bug(
        "raft: vote twice in a term",
        CORE,
        "free = self.vote == request.source or (not self.vote and not self.leader)",
        "free = True",
        RAFT,
    ),
    Bug(
        "raft: no up-to-date check",
        CORE,
        "granted = free and self.log.up_to_date(request.last_index, request.last_term)",
        "granted = free",
        RAFT,
    ),
    Bug(
        "raft: leader counts unpersisted self",
        LEADERSHIP,
        "own = log.persisted",
        "own = log.last_index",
        RAFT,
    ),
    Bug(
        "raft: delayed append truncates",
        LOG,
        "            if self.term_at(entry.index) != entry.term:\n                self._cut(entry.index - 1)",
        "            if True:\n                self._cut(entry.index - 1)",
        RAFT,
    ),
    Bug("raft: read without quorum", LEADERSHIP, "return read.number <= confirmed and", "return", RAFT),
    Bug(
        "raft: read before the term's first commit",
        LEADERSHIP,
        "max(self._log.committed, self.first_index)",
        "self._log.committed",
        RAFT,
    ),
    Bug(
        "raft: commit index past match",
        LEADERSHIP,
        "return min(progress.match, self._log.committed)",
        "return self._log.committed",
        RAFT,
    ),
    Bug("raft: stale refusals heeded", PROGRESS, "        if index <= self.match:\n            return\n", "", RAFT),
    Bug(
        "raft: persist of replaced entries counts",
        LOG,
        "if self.term_at(index) == term and index > self.persisted:",
        "if index > self.persisted:",
        RAFT,
    ),
    Bug("raft: cut keeps persisted", LOG, "        self.persisted = min(self.persisted, last)\n", "", RAFT),
    Bug(
        "raft: no retry after loss",
        PROGRESS,
        "        if self.stalled:\n            self.stalled = False\n",
        "        if False:\n            self.stalled = False\n",
        RAFT,
    ),
    Bug(
        "raft: hint too far",
        LOG,
        "self.base.index + bisect_right(self._entries, term, 0, end, key=_term_of)",
        "self.base.index + end",
        RAFT,
    ),
    Bug("raft: quorum is half", QUORUM, "(len(indexes) - 1) // 2", "len(indexes) // 2", RAFT),
    Bug("raft: half of the votes", QUORUM, "len(answers) // 2 + 1", "len(answers) // 2", RAFT),
    Bug(
        "raft: pre-votes disturb a leader",
        CORE,
        "free = not self._hears_leader(now)",
        "free = True",
        RAFT,
    ),
    Bug(
        "raft: a leader that is back waits",
        CORE,
        "            if message.source == self.leader:\n",
        "            if False:\n",
        RAFT,
    ),
    Bug(
        "raft: no check quorum",
        LEADERSHIP,
        "            if heard.count(True) * 2 <= len(heard):\n                return False\n",
        "return True",
        RAFT,
    ),
    Bug(
        "raft: vote forgotten at restart",
        CORE,
        'self.vote = saved.vote if saved.term == self.term else ""',
        'self.vote = ""',
        RAFT,
    ),
    Bug("raft: term not corrected", CORE, "            self._correct(message)\n", "", RAFT),
    Bug(
        "raft: accept commit beyond what matches",
        CORE,
        "log.commit(min(message.commit, last))",
        "log.commit(message.commit)",
        RAFT,
    ),
    Bug(
        "mvcc: forget too much",
        KEYS,
        "return seen - 1 if seen and versions[seen - 1].version else seen",
        "return seen",
        MVCC,
    ),
    Bug(
        "mvcc: tombstone kept visible", KEYS, "if seen == 0 or versions[seen - 1].version == 0:", "if seen == 0:", MVCC
    ),
    Bug(
        "mvcc: dead key stays dead",
        KEYS,
        "            if key in self._past:\n                self._dead.remove(key)\n",
        "",
        MVCC,
    ),
    Bug(
        "mvcc: compaction drops event at revision",
        STORE,
        "self.events.take_before(revision)",
        "self.events.take_before(revision + 1)",
        MVCC,
    ),
    Bug(
        "mvcc: count at past revision is today's",
        STATE,
        "return self.keyspace.count(span) + then - now",
        "return self.keyspace.count(span)",
        MVCC,
    ),
    Bug(
        "mvcc: lease not moved",
        STORE,
        "        if previous.lease != lease:\n            self.leases.move(key, previous.lease, lease)\n",
        "        if lease:\n            self.leases.move(key, 0, lease)\n",
        MVCC,
    ),
    Bug(
        "mvcc: lease check after writes",
        STORE,
        "        if op.lease and self.leases.get(op.lease) is None:",
        "        if False:",
        MVCC,
    ),
    Bug("mvcc: delete leaves lease", STORE, "        self.leases.move(key, previous.lease, 0)\n", "", MVCC),
    Bug(
        "mvcc: read below compaction",
        STATE,
        "        if 0 < revision < self.compacted:",
        "        if False:",
        MVCC,
    ),
    Bug("mvcc: span end inclusive", SPAN, "key < self.high", "key <= self.high", MVCC),
    Bug(
        "mvcc: watcher skips a revision when full",
        WATCH,
        "            self.cursor += 1\n",
        "            self.cursor += 1 + (len(found) >= EVENTS_MAX)\n",
        MVCC,
    ),
    Bug(
        "mvcc: progress overtakes",
        WATCH,
        "if self.cursor != log.last + 1 or self._told >= log.last:",
        "if self._told >= log.last:",
        MVCC,
    ),
    Bug(
        "mvcc: future watch sees old",
        WATCH,
        "self.cursor = max(start, log.first) if start > 0 else log.last + 1",
        "self.cursor = min(max(start, log.first), log.last + 1) if start else log.last + 1",
        MVCC,
    ),
    Bug("mvcc: lost not noticed", WATCH, "return self.cursor < compacted", "return False", MVCC),
    Bug(
        "mvcc: version not reset after delete",
        KEYS,
        "new = KeyValue(key, value, revision, revision, 1, lease)",
        "new = KeyValue(key, value, revision, revision, len(self._past.get(key, ())) + 1, lease)",
        MVCC,
    ),
    Bug(
        "mvcc: renew after proposed",
        LEASES,
        "        if number in self._expiring:\n            return False\n",
        "",
        MVCC,
    ),
    Bug(
        "mvcc: two revisions",
        STORE,
        "        self.leases.move(key, previous.lease, 0)\n        return previous",
        "        self.leases.move(key, previous.lease, 0)\n        self._seal()\n        return previous",
        MVCC,
    ),
    Bug(
        "mvcc: a refused transaction has done something",
        STORE,
        '            return KeyNotFound("key not found")',
        "            return None",
        MVCC,
    ),
    Bug(
        "mvcc: a nested comparison sees what the transaction did",
        STORE,
        "            responses = tuple([self._run(inner, branches) for inner in taken(op.txn, branches)])\n",
        "            branches = path(op.txn, self.keyspace)\n"
        "            responses = tuple([self._run(inner, branches) for inner in taken(op.txn, branches)])\n",
        MVCC,
    ),
    Bug(
        "mvcc: a past read in a transaction sees its writes",
        STATE,
        "(revision == self.revision and not self._changes)",
        "revision == self.revision",
        MVCC,
    ),
    Bug(
        "mvcc: an absent value is the empty one",
        TXN,
        "if found is None and compare.target ==",
        "if None is compare.target ==",
        MVCC,
    ),
    Bug(
        "mvcc: a comparison of a range looks at one key", TXN, "    if not compare.range_end:\n", "    if True:\n", MVCC
    ),
    Bug(
        "mvcc: the limit comes before the order",
        STATE,
        "found = self._pairs(span, past, reverse=by_key and request.descending)",
        "found = islice(self._pairs(span, past, reverse=by_key and request.descending), request.limit or None)",
        MVCC,
    ),
    Bug("mvcc: a duplicate in a nested transaction", TXN, "        writes.merge(either)\n", "        pass\n", MVCC),
    Bug(
        "mvcc: compaction in slices forgets a slice",
        STORE,
        "            events = self._to_scrub.popleft()\n            keys_max -= max(1, len(events))\n",
        "            events = self._to_scrub.popleft()\n            keys_max -= max(1, len(events))\n"
        "            if keys_max == 1:\n                continue\n",
        MVCC,
    ),
    Bug(
        "mvcc: what compaction made superfluous goes into the snapshot",
        DUMP,
        "keyspace.versions(key, self.compacted, self.revision)",
        "keyspace.versions(key, 0, self.revision)",
        SNAPSHOTS,
    ),
    Bug(
        "mvcc: the end of a cut revision is lost",
        WATCH,
        "                self._offset = position\n",
        "                self._offset = position + 1\n",
        MVCC,
    ),
    Bug("mvcc: filters of a watch do nothing", WATCH, "(unwanted and event.type in unwanted)", "False", MVCC),
    Bug(
        "mvcc: who watches a prefix is forgotten",
        INTEREST,
        "            if not self._lengths[len(span.low)]:\n",
        "            if True:\n",
        MVCC,
    ),
    Bug("mvcc: who watches a prefix is found twice", INTEREST, "if length > len(key):", "if False:", MVCC),
    Bug(
        "mvcc: a leader of the past revokes leases",
        STORE,
        "                if command.term in (0, term):  # else a",
        "                if True:  # else a",
        MVCC,
    ),
    Bug(
        "mvcc: a new leader gives a lease all its time again",
        LEASES,
        "(lease.left_s or lease.ttl_s)",
        "lease.ttl_s",
        MVCC,
    ),
    Bug("mvcc: a checkpoint outlives the keep-alive", STORE, "        lease.left_s = 0\n", "        pass\n", MVCC),
    Bug(
        "mvcc: a keep-alive does not see the checkpoint under way",
        LEASES,
        "return lease.left_s > 0 or lease.lease in self._checkpoints",
        "return lease.left_s > 0",
        MVCC,
    ),
    Bug("mvcc: puts are taken without room", STORE, 'if "NOSPACE" in kinds and', "if False and", MVCC),
    Bug("mvcc: writes are taken in a corrupt cluster", STORE, 'if "CORRUPT" in kinds:', "if False:", MVCC),
    Bug("mvcc: history goes too early", UPKEEP, "now - self._marks[0][0] >= self._history_kept_s", "self._marks", MVCC),
    Bug(
        "replica: a watcher in step loses what compaction took",
        FEEDS,
        "            self._fall_behind()  # what",
        "            pass  # what",
        ("test_feeds",),
    ),
    Bug(
        "disk: a torn record stays when the disk was full",
        STORAGE,
        "            self._disk.truncate(name, self._size)\n",
        "",
        ("test_storage",),
    ),
    Bug(
        "disk: a full disk crashes the member",
        f"{ETCD}/disk_work.py",
        "            except NoRoom:\n",
        "            except ZeroDivisionError:\n",
        ("test_full_disk",),
    ),
    Bug(
        "disk: pieces behind one that did not fit are kept",
        STORAGE,
        "                self._incoming_broken = True\n",
        "                pass\n",
        ("test_full_disk",),
    ),
    Bug(
        "disk: the last record is not marked",
        STORAGE,
        "        self._marked = False\n        await",
        "        await",
        ("test_storage",),
    ),
    Bug(
        "maintenance: the hash depends on what is kept",
        f"{ETCD}/mvcc/hash.py",
        "found = self._keyspace.get_at(key, self.revision)",
        "found = next(iter(self._keyspace.versions(key, 0, self.revision)), None)",
        ("test_maintenance",),
    ),
    Bug("maintenance: nobody is blamed", f"{ETCD}/checker.py", "if found != right", "if False", ("test_maintenance",)),
    Bug(
        "maintenance: the leader is always right",
        f"{ETCD}/checker.py",
        "right = most if count * 2 > len(hashes) else hashes[leader]",
        "right = hashes[leader]",
        ("test_maintenance",),
    ),
    Bug(
        "maintenance: no quota",
        ACTOR,
        "self._store.keyspace.bytes > self._config.quota_bytes",
        "False",
        ("test_maintenance",),
    ),
    Bug(
        "maintenance: an alarm of the disk stays",
        f"{ETCD}/maintenance.py",
        "self._room.is_low == (alarm in store.alarms)",
        "self._room.is_low <= (alarm in store.alarms)",
        ("test_full_disk",),
    ),
    Bug(
        "wal: no crc",
        RECORDS,
        "    if zlib.crc32(payload, zlib.crc32(_checked.pack(kind, length))) != crc:\n        return None\n",
        "",
        LOG_FORMAT,
    ),
    Bug(
        "wal: crc without length",
        WAL,
        '        raise CorruptWal(\n            f"{segment.name}: the record at byte',
        '        return records, offset\n        raise CorruptWal(\n            f"{segment.name}: the record at byte',
        LOG_FORMAT,
    ),
    Bug(
        "wal: what a leader replaced must be in the oldest segment that is left",
        WAL,
        "self._floor = header.index if header.fresh else 0",
        "self._floor = header.index",
        LOG_FORMAT,
    ),
    Bug(
        "wal: what a snapshot stands for may be replaced",
        WAL,
        "self._floor = header.index if header.fresh else 0",
        "self._floor = 0",
        LOG_FORMAT,
    ),
    Bug(
        "wal: torn middle accepted",
        WAL,
        "(not last or sound_record_after(segment.data, offset))",
        "not last",
        LOG_FORMAT,
    ),
    Bug(
        "wal: torn earlier accepted",
        WAL,
        "(not last or sound_record_after(segment.data, offset))",
        "sound_record_after(segment.data, offset)",
        LOG_FORMAT,
    ),
    Bug(
        "wal: replay keeps replaced",
        WAL,
        "            del self.entries[entry.index - self.base.index - 1 :]\n            self.entries.append(entry)",
        "            place = entry.index - self.base.index - 1\n            self.entries[place : place + 1] = [entry]",
        LOG_FORMAT,
    ),
    Bug("wal: gap", WAL, "if replay.base.index > snapshot.index:", "if False:", LOG_FORMAT),
    Bug("wal: what is void comes back", WAL, "if first or header.fresh:", "if first:", LOG_FORMAT),
    Bug("wal: a log that does not lead to the snapshot", WAL, "not replay.leads_to(snapshot)", "False", LOG_FORMAT),
    Bug(
        "wal: state lost with its segments",
        WAL,
        "            self.state = header.state\n",
        "            pass\n",
        LOG_FORMAT,
    ),
    Bug(
        "wal: only last job's entries",
        WAL,
        "tuple(entry for job in jobs for entry in job.entries)",
        "jobs[-1].entries",
        LOG_FORMAT,
    ),
    Bug(
        "replica: no sync",
        STORAGE,
        "        self._marked = False\n        await self._disk.sync(name)\n",
        "        self._marked = False\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: persisted before written",
        DISK_WORK,
        "        await self._write(jobs)\n        for job in jobs:\n",
        "        self._ctx.background(self._write(jobs), 'late')\n        for job in jobs:\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: torn tail kept",
        STORAGE,
        "            await self._disk.replace(segment_name(self._sequence), found.tail)\n",
        "",
        REPLICA_SET,
    ),
    Bug("replica: waiting writes survive a leadership", REQUESTS, "        self._proposed.clear()\n", "", REPLICA_SET),
    Bug(
        "replica: waiting writes not failed",
        REQUESTS,
        "        for _, writes in self._proposed:\n            fail_writes(writes, lost)\n",
        "",
        REPLICA_SET,
    ),
    Bug(
        "replica: writes of lost leaderships told as refused",
        REQUESTS,
        "            fail_writes(writes, lost)",
        "            fail_writes(writes, NotLeader('x', {'leader': ''}))",
        REPLICA_SET,
    ),
    Bug(
        "replica: results of another entry",
        REQUESTS,
        "if not self._proposed or self._proposed[0][0] != index:",
        "if not self._proposed:",
        REPLICA_SET,
    ),
    Bug(
        "replica: jobs lost while writing",
        DISK_WORK,
        "                    await self._persist(group)\n",
        "                    await self._persist(group)\n                    self._jobs = []\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: keepalive not confirmed",
        ACTOR,
        "            case LeaseKeepAlive() | LeaseTimeToLive()",
        "            case LeaseKeepAlive():\n                return LeaseGranted(message.lease, 1)\n"
        "            case LeaseTimeToLive()",
        REPLICA_SET,
    ),
    Bug(
        "replica: watch loses items without credit",
        FEEDS,
        "        while self.outlet.credit > 0 and not self.outlet.closed:\n",
        "        while not self.outlet.closed:\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: wakes nobody at credit",
        FEEDS,
        "            self._ready[feed] = None\n            self._wake()\n",
        "            pass\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: serves reads locally",
        ACTOR,
        "return self._store.range(message) if message.serializable else self._read(message)",
        "return self._store.range(message)",
        REPLICA_SET,
    ),
    Bug(
        "replica: write errors ignored",
        STORAGE,
        "        self._marked = False\n        await self._disk.sync(name)\n",
        "        self._marked = False\n"
        "        try:\n            await self._disk.sync(name)\n        except OSError:\n            pass\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: segment not rolled over durable",
        STORAGE,
        "        await self._disk.replace(segment_name(sequence), content)\n",
        "        self._disk.append(segment_name(sequence), content)\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: ack before persisted",
        CORE,
        "        log.commit(min(message.commit, last))\n        self._send_when_persisted(",
        "        log.commit(min(message.commit, last))\n        self._send(",
        REPLICA_SET,
    ),
    Bug("replica: read without quorum", LEADERSHIP, "return read.number <= confirmed and", "return", REPLICA_SET),
    Bug(
        "replica: lease clock of a new leader empty",
        ACTOR,
        "            self._lease_clock.start(self._store.leases.all(), self.ctx.now)\n",
        "            self._lease_clock.stop()\n",
        REPLICA_SET,
    ),
    Bug(
        "replica: lease expired locally",
        ACTOR,
        "            self._internal.append(ExpireLeases(expired, self._leading_term))\n",
        "            self._store.apply(ExpireLeases(expired))\n",
        REPLICA_SET,
    ),
    Bug(
        "snapshot: of the wrong index",
        DISK_WORK,
        "Mark(log.applied, log.term_at(log.applied) or 0)",
        "Mark(log.last_index, log.last_term)",
        REPLICA_SET,
    ),
    Bug(
        "snapshot: the past is compacted under it",
        STORE,
        "keys_max > 0 and not self.keyspace.is_held",
        "keys_max > 0",
        SNAPSHOTS,
    ),
    Bug(
        "snapshot: shows what came later",
        KEYS,
        "if newest is not None and newest.mod_revision <= last:",
        "if newest is not None:",
        SNAPSHOTS,
    ),
    Bug(
        "snapshot: lease numbers begin anew",
        DUMP,
        "        store.leases.last_number = self.last_lease\n",
        "",
        SNAPSHOTS,
    ),
    Bug(
        "snapshot: keys hang on no lease",
        DUMP,
        "                store.leases.move(kv.key, 0, kv.lease)\n",
        "                pass\n",
        SNAPSHOTS,
    ),
    Bug(
        "snapshot: lacks records",
        SNAPSHOT,
        "_count_decoder.decode(parts.one(END)) != count or",
        "_count_decoder.decode(parts.one(END)) < 0 or",
        SNAPSHOTS,
    ),
    Bug(
        "snapshot: segments go before it is durable",
        DISK_WORK,
        "        try:\n            storage.begin_snapshot()\n",
        "        storage.compact(mark)\n        try:\n            storage.begin_snapshot()\n",
        REPLICA_SET,
    ),
    Bug(
        "snapshot: entries of another history stay behind it",
        LOG,
        "        if self.term_at(base.index) != base.term:\n            return ()\n",
        "",
        RAFT,
    ),
    Bug(
        "snapshot: what follows it is dropped",
        LOG,
        "        self._entries = list(self.following(base))\n",
        "        self._entries = []\n",
        RAFT,
    ),
    Bug(
        "snapshot: appends while it is installed",
        CORE,
        "        if self._arrival.complete:\n            return  # a",
        "        if False:\n            return  # a",
        RAFT,
    ),
    Bug(
        "snapshot: commits while it is installed",
        CORE,
        "        if not self._arrival.complete:\n            self.log.commit(index)\n",
        "        self.log.commit(index)\n",
        RAFT,
    ),
    Bug("snapshot: elected while it is installed", CORE, " or self._arrival.complete:\n", ":\n", RAFT),
    Bug(
        "snapshot: pieces of two are mixed",
        ARRIVAL,
        "        if identity != self._identity:\n",
        "        if self._identity is None:\n",
        RAFT,
    ),
    Bug(
        "snapshot: a lost piece is not sent again",
        PROGRESS,
        "            if self.transfer is not None:\n                self.transfer.send_again()\n",
        "",
        RAFT,
    ),
    Bug(
        "snapshot: a follower that is behind is forgotten",
        LEADERSHIP,
        "if progress.next <= self._log.base.index and",
        "if False and",
        RAFT,
    ),
]


def main() -> None:
    words = sys.argv[1:]
    missed = []
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        finder = find(bug)
        print(f"{'found ' if finder else 'MISSED'}  {bug.name:60s} {finder}", flush=True)
        if not finder:
            missed.append(bug.name)
    sys.exit(1 if missed else 0)


def find(bug: Bug) -> str:
    """Plant the bug in a copy, run the tests, and name the first that fails; empty if none does."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        for part in ("actorkube", "protocols", "actors/etcd", "tests/etcd", "tests/planted"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "actors/__init__.py", "tests/__init__.py"):
            shutil.copy(ROOT / name, tree / name)
        plant(bug, tree)
        tests = [f"tests/etcd/{name}.py" for name in bug.found_by]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--timeout=120",
            "-p",
            "tests.planted.no_shrinking",
            *tests,
        ]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
        failed = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
        return failed[0].partition("::")[2].partition(" ")[0] if failed else ""


def plant(bug: Bug, tree: Path) -> None:
    path = tree / bug.file
    text = path.read_text()
    if text.count(bug.right) != 1:
        raise ValueError(f"{bug.name}: {bug.file} has {text.count(bug.right)} places like {bug.right!r}")
    path.write_text(text.replace(bug.right, bug.wrong))


if __name__ == "__main__":
    main()
