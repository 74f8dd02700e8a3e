"""Bugs of the store's users and roles: each lets somebody do, or hear of, what they may not."""

from __future__ import annotations

from tests.planted.bug import Bug

AUTH = "actors/etcd/mvcc/auth.py"
ACCESS = "actors/etcd/grpc/access.py"
TESTS = "tests/etcd/test_auth.py::"
DOOR = "tests/etcd/test_auth_door.py::"
NEEDS = TESTS + "test_a_request_is_permitted_with_just_what_it_needs_and_refused_without_any_of_it"

AUTHORISATION = [
    Bug(
        "auth: what was never a permission cannot be revoked in the words of one that is not there",
        AUTH,
        'if permission is None or (change.act == "grant permission" and not _is_range(permission)):',
        "if permission is None or not _is_range(permission):",
        TESTS + "test_a_change_that_cannot_be_is_refused_in_etcds_words_and_changes_nothing",
    ),
    Bug(
        "auth: a put of no key is asked first who asks",
        "actors/etcd/grpc/kv.py",
        "            raise NO_KEY\n        self._replica.ask(self._guard(Txn((), (convert.put_op",
        "            pass\n        self._replica.ask(self._guard(Txn((), (convert.put_op",
        DOOR + "test_each_call_is_for_those_who_may_and_says_to_all_others_why_not",
    ),
    Bug(
        "auth: of a transaction, only the branch for success is looked at",
        AUTH,
        "    for op in (*txn.success, *txn.failure):",
        "    for op in txn.success:",
        NEEDS,
    ),
    Bug(
        "auth: transactions within transactions are not looked at (CVE-2026-33343)",
        AUTH,
        "yield from _needs_of_op(op, leases) if op.txn is None else _needs_of_txn(op.txn, leases)",
        "yield from _needs_of_op(op, leases) if op.txn is None else ()",
        NEEDS,
    ),
    Bug(
        "auth: who may only write is told what was there",
        AUTH,
        "    if op.prev_kv:",
        "    if False:",
        NEEDS,
    ),
    Bug(
        "auth: who may not write the keys of a lease hangs one of its own on it",
        AUTH,
        "    if op.lease:  #",
        "    if False:  #",
        NEEDS,
    ),
    Bug(
        "auth: keys between two ranges are covered by them",
        AUTH,
        "        if span.low > low:\n            return False\n",
        "",
        TESTS + "test_keys_are_covered_exactly_when_each_of_them_is",
    ),
    Bug(
        "auth: who may read and write everything may make themselves root",
        AUTH,
        "        if isinstance(request, ChangeAuth):",
        "        if False:",
        TESTS + "test_who_may_read_and_write_everything_may_still_change_no_permissions",
    ),
    Bug(
        "auth: the last who may change anything can be deleted",
        AUTH,
        'return change.act == "delete user" or (',
        "return (",
        TESTS + "test_a_change_that_cannot_be_is_refused_in_etcds_words_and_changes_nothing",
    ),
    Bug(
        "auth: a role that is made again is still had by those who had the old one",
        AUTH,
        "for user in [user for user in self._users.values() if name in user.roles]:",
        "for user in [user for user in self._users.values() if False]:",
        TESTS + "test_a_role_that_is_deleted_is_taken_from_those_who_have_it",
    ),
    Bug(
        "auth: what a user may is looked at when it asks, not when it happens",
        "actors/etcd/mvcc/store.py",
        "return self.auth.refusal(command.user, request, self.leases) or self.apply(request, term)",
        "return self.apply(request, term)",
        TESTS + "test_what_is_revoked_between_the_question_and_the_log_counts",
    ),
    Bug(
        "auth: users are not in the snapshot (etcd#11651)",
        "actors/etcd/snapshot.py",
        "*moment, configuration, dump.auth)",
        "*moment, configuration)",
        TESTS + "test_users_are_in_the_log_and_in_the_snapshot",
    ),
    Bug(
        "auth: a revocation that is refused keeps the lease alive",
        "actors/etcd/lease_rules.py",
        "        if isinstance(result, Answer):\n            return  # who was refused has renewed nothing\n",
        "",
        TESTS + "test_a_lease_whose_revocation_is_refused_is_not_kept_alive_by_it",
    ),
    Bug(
        "auth: a token is believed unsigned",
        ACCESS,
        "    if not hmac.compare_digest(_signature(said.decode(), user, auth.secret).encode(), signature):",
        "    if False:",
        TESTS + "test_a_token_that_ended_or_was_made_otherwise_is_refused",
    ),
    Bug(
        "auth: a token outlives the password it was given for",
        ACCESS,
        'f"{said}.{user.password}".encode()',
        "said.encode()",
        TESTS + "test_a_token_that_ended_or_was_made_otherwise_is_refused",
    ),
    Bug(
        "auth: a door that lags lets everybody through",
        "actors/etcd/guarded.py",
        "    elif type(message) in NAMED and sender is not None and sender.address.actor == DOOR:",
        "    elif False:",
        DOOR + "test_a_door_that_has_not_heard_of_it_lets_nobody_through",
    ),
    Bug(
        "auth: a watch hears of keys that its user may not read",
        "actors/etcd/guarded.py",
        "    if type(message) is WatchKeys and message.user:\n        allow(store, message.user, message)\n",
        "    if type(message) is WatchKeys and message.user:\n        pass\n",
        DOOR + "test_a_user_reads_and_writes_its_own_keys_and_hears_of_no_others",
    ),
    Bug(
        "auth: anybody may have a copy of the whole store",
        "actors/etcd/grpc/maintenance.py",
        "        await self._access.require_root(call)\n        digest",
        "        digest",
        DOOR + "test_each_call_is_for_those_who_may_and_says_to_all_others_why_not",
    ),
]
