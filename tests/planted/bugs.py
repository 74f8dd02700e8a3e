"""Bugs to plant, one at a time, to see that the suite finds each. Most are ones that real systems have had.

A bug is one replacement of text: `old`, which stands exactly once in `file`, becomes `new`; then `test` (what finds it
at the least cost; others may find it too) must fail. Some sixty more, of the store alone, are in
tests/etcd/planted_bugs.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    test: str


STORE = [
    Bug(
        "Raft commits an entry of an older term by counting",
        "actors/etcd/raft/leadership.py",
        "index > log.committed and log.term_at(index) == self.term",
        "index > log.committed",
        "tests/etcd/test_raft_core.py::test_5_4_2_figure_8_an_entry_of_an_older_term_is_not_committed_by_counting",
    ),
    Bug(
        "Raft votes twice in a term",
        "actors/etcd/raft/core.py",
        "free = self.vote == request.source or (not self.vote and not self.leader)",
        "free = True",
        "tests/etcd/test_raft_core.py::test_5_2_a_member_votes_once_in_a_term",
    ),
    Bug(
        "Raft forgets at a restart whom it has voted for",
        "actors/etcd/raft/core.py",
        'self.vote = saved.vote if saved.term == self.term else ""',
        'self.vote = ""',
        "tests/etcd/test_raft_core.py::test_5_2_a_vote_survives_a_restart",
    ),
    Bug(
        "Raft acknowledges entries before they are durable",
        "actors/etcd/raft/core.py",
        "self._send_when_persisted(message.source, Appended(self.term, member, last, True))",
        "self._send(message.source, Appended(self.term, member, last, True))",
        "tests/etcd/test_raft_core.py::test_an_append_is_accepted_only_when_it_is_durable",
    ),
    Bug(
        "Raft reads from a leader that may be deposed",
        "actors/etcd/raft/leadership.py",
        "return read.number <= confirmed and",
        "return",
        "tests/etcd/test_raft_core.py::test_6_4_a_read_is_answered_when_a_majority_confirms_the_leader",
    ),
    Bug(
        "WAL accepts a torn or rotten record",
        "actors/etcd/records.py",
        "if zlib.crc32(payload, zlib.crc32(_checked.pack(kind, length))) != crc:",
        "if False:",
        "tests/etcd/test_wal.py::test_a_flipped_bit_is_noticed_wherever_it_is",
    ),
    Bug(
        "WAL goes on behind a torn tail that it kept",
        "actors/etcd/storage.py",
        "replace(segment_name(self._sequence), found.tail)",
        "sync(segment_name(self._sequence))",
        "tests/etcd/test_storage.py::test_after_a_torn_tail_the_log_goes_on_where_it_was_whole",
    ),
    Bug(
        "WAL calls durable what was never synced",
        "actors/etcd/storage.py",
        "        await self._disk.sync(name)\n",
        "",
        "tests/etcd/test_storage.py::test_all_jobs_that_wait_share_one_sync",
    ),
    Bug(
        "Raft's leader rests though a read waits for the heartbeat's answer",
        "actors/etcd/raft/leadership.py",
        "if self._beats or (self._rounds and self._rounds[-1].number > self._answered):",
        "if self._beats:",
        "tests/sim/test_etcd.py::test_reads_and_writes_at_any_moment_wait_for_no_heartbeat",
    ),
    Bug(
        "MVCC ignores what a transaction compares",
        "actors/etcd/mvcc/txn.py",
        "return value == compare.value",
        "return True",
        "tests/etcd/test_store.py::test_compare_and_swap_lets_one_of_two_writers_through",
    ),
    Bug(
        "MVCC watch loses a revision when an answer is full",
        "actors/etcd/mvcc/watch.py",
        "            self.cursor += 1\n",
        "            self.cursor += 1 + (len(found) >= EVENTS_MAX)\n",
        "tests/etcd/test_store.py::test_a_watch_hands_over_whole_revisions_in_portions",
    ),
]

API_SERVER = [
    Bug(
        "API server accepts a stale resourceVersion",
        "actors/apiserver/changes.py",
        "if revision_of(new) not in (0, item.revision):",
        "if False:",
        "tests/apiserver/test_pipeline.py::test_a_patch_that_names_a_revision_is_refused_at_another",
    ),
    Bug(
        "API server overwrites what has changed since it looked",
        "actors/apiserver/writes.py",
        'Compare(write.key, "mod", "=", write.revision)',
        'Compare(write.key, "mod", ">", -1)',
        "tests/apiserver/test_store.py::test_an_equal_write_of_another_is_not_taken_for_ones_own",
    ),
    Bug(
        "API server's watch goes on across a gap",
        "actors/apiserver/log.py",
        "self.first = self.end + 1",
        "self.first = self.end",
        "tests/apiserver/test_watch_cache.py"
        "::test_a_new_snapshot_ends_the_watches_that_cannot_know_what_happened_in_between",
    ),
    Bug(
        "API server's watch is silent about what left its selection",
        "actors/apiserver/cache.py",
        'return Change("DELETED", event.gone()) if before else None',
        "return None",
        "tests/apiserver/test_watch_cache.py",
    ),
    Bug(
        "API server refuses on a cache that is behind",
        "actors/apiserver/feed.py",
        "while self._cache.revision < revision:",
        "while False:",
        "tests/apiserver/test_store.py::test_nobody_is_refused_because_the_cache_is_behind",
    ),
    Bug(
        "API server ignores finalizers",
        "actors/apiserver/deletion.py",
        "if not finalizers and grace_s == 0:",
        "if grace_s == 0:",
        "tests/apiserver/test_deleting.py::test_finalizers_keep_the_object_until_the_last_one_is_gone",
    ),
    Bug(
        "API server gives two services one address",
        "actors/apiserver/allocate.py",
        "if ip not in taken:",
        "if True:",
        "tests/apiserver/test_allocation.py::test_the_last_free_one_is_found_and_then_the_range_is_full",
    ),
    Bug(
        "two API servers give two services one address",
        "actors/apiserver/writes.py",
        'Compare(claim.key, "version", "=", 0)',
        'Compare(claim.key, "version", ">", -1)',
        "tests/apiserver/test_store.py::test_two_api_servers_before_one_store_show_each_others_writes_at_once",
    ),
    Bug(
        "API server binds a pod twice",
        "actors/apiserver/binding.py",
        'if spec.get("nodeName"):',
        "if False:",
        "tests/apiserver/test_subresources.py::test_a_binding_gives_a_pod_its_node_once",
    ),
    Bug(
        "eviction exceeds a disruption budget",
        "actors/apiserver/eviction.py",
        'if (status.get("disruptionsAllowed") or 0) <= 0:',
        "if False:",
        "tests/apiserver/test_subresources.py::test_evictions_spend_a_disruption_budget_until_there_is_none_left",
    ),
    Bug(
        "strategic merge patch replaces lists that it should merge",
        "actors/apiserver/patch/strategic.py",
        'or "merge" not in _strategies(type)',
        "or True",
        "tests/apiserver/patch/test_strategic.py::test_set_image_changes_one_container_and_keeps_the_rest",
    ),
    Bug(
        "merge patch stores null instead of removing",
        "actors/apiserver/patch/merge_patch.py",
        "            merged.pop(key, None)\n",
        "            merged[key] = None\n",
        "tests/apiserver/patch/test_json_and_merge_patch.py",
    ),
    Bug(
        "server-side apply takes fields from others without being told to",
        "actors/apiserver/patch/apply.py",
        "    if not force:",
        "    if False:",
        "tests/apiserver/patch/test_apply.py::test_a_conflict_names_the_field_and_who_set_it",
    ),
    Bug(
        "server-side apply keeps what is not applied any more",
        "actors/apiserver/patch/apply.py",
        "merged = _pruned(type, merged, before.fields, managers)",
        "pass",
        "tests/apiserver/patch/test_apply.py::test_what_is_not_applied_any_more_goes_but_not_what_others_set",
    ),
]

SCHEDULER = [
    Bug(
        "scheduler does not count pods that it has assumed",
        "actors/scheduler/cluster_state.py",
        "        self._place(demand.key, demand.footprint, node)\n",
        "        self._placed[demand.key] = node\n",
        "tests/scheduler/test_cluster_state.py::test_an_assumed_pod_counts_before_the_api_server_knows",
    ),
    Bug(
        "scheduler drops an assumption when late news arrive",
        "actors/scheduler/cluster_state.py",
        "if not node and self._assumed.get(key) == uid_of(pod):",
        "if False:",
        "tests/scheduler/test_cluster_state.py::test_a_late_event_without_a_node_does_not_undo_an_assumption",
    ),
    Bug(
        "scheduler ignores taints",
        "actors/scheduler/plugins/taint_toleration.py",
        "return {name: _refusal(taint) for name, taint in first.items() if taint is not None}",
        "return {}",
        "tests/scheduler/test_plugins.py::test_the_first_untolerated_taint_is_named",
    ),
]

CONTROLLERS = [
    Bug(
        "controller decides anew without looking, when an answer was lost",
        "actorkube/kube/carry.py",
        "            await self._clear_doubt(write, error)\n",
        "",
        "tests/kube/test_controller_actor.py::test_looks_before_deciding_more_when_an_answer_was_lost",
    ),
    Bug(
        "view goes back to older news",
        "actorkube/kube/view.py",
        "(old is not None and revision <= old.revision) or ",
        "",
        "tests/kube/test_view.py::test_an_own_write_is_seen_at_once_and_not_undone_by_older_news",
    ),
    Bug(
        "work queue loses a key that changes while it is worked on",
        "actorkube/kube/queue.py",
        "            self._working[key] = True\n",
        "",
        "tests/kube/test_queue.py::test_a_key_that_changes_while_it_is_worked_on_comes_back_afterwards",
    ),
    Bug(
        "replica set counts pods that are being deleted",
        "actors/controllers/replicaset.py",
        "active = [pod for pod in pods if pod.active]",
        "active = pods",
        "tests/controllers/test_replicaset.py::test_does_not_wait_for_a_pod_that_is_going",
    ),
    Bug(
        "replica set adopts pods although it is being deleted",
        "actors/controllers/claim.py",
        "return [Confirm(owner.resource, namespace_of(owner.obj), name_of(owner.obj), uid_of(owner.obj)), *adoptions]",
        "return adoptions",
        "tests/controllers/test_replicaset.py::test_does_not_adopt_for_a_set_that_is_deleted_behind_its_back",
    ),
    Bug(
        "replica set gives the name of a dead pod to a new one",
        "actors/controllers/replicaset.py",
        " and not pods.was_used(key)",
        "",
        "tests/controllers/test_replicaset.py::test_a_name_that_was_used_lately_is_not_given_again",
    ),
    Bug(
        "rolling update goes below the minimum that must be available",
        "actors/controllers/rollout.py",
        "spare = new.available + sum(s.available for s in old) - limits.least_available",
        "spare = new.available + sum(s.available for s in old)",
        "tests/controllers/test_rollout.py::test_old_sets_shrink_as_far_as_enough_stay_available",
    ),
    Bug(
        "rolling update gives up old pods while the new ones are not available",
        "actors/controllers/rollout.py",
        "most = total - limits.least_available - (new.replicas - new.available)",
        "most = total - limits.least_available",
        "tests/controllers/test_rollout.py::test_old_sets_shrink_as_far_as_enough_stay_available",
    ),
    Bug(
        "unready pods are published as ready",
        "actors/controllers/endpointslice.py",
        "or (pod.ready and not pod.deleting)",
        "or not pod.deleting",
        "tests/controllers/test_endpoints.py::test_a_pod_that_is_not_ready_is_there_but_not_ready",
    ),
    Bug(
        "nodes are tainted before their grace is over",
        "actors/controllers/node_lifecycle.py",
        "wait = silent_at(node, views, settings) - now",
        "wait = 0.0",
        "tests/controllers/test_nodes.py::test_a_silent_node_is_marked_shunned_and_emptied_and_recovers",
    ),
    Bug(
        "nodes are evicted all at once",
        "actors/controllers/node_lifecycle.py",
        "max((node.evicting_since for node in nodes), default=0.0) + 1 / rate - now",
        "0.0",
        "tests/controllers/test_nodes.py::test_nodes_are_evicted_one_after_the_other",
    ),
    Bug(
        "node lifecycle quarrels over pods with a kubelet that lives",
        "actors/controllers/node_lifecycle.py",
        "if ready_since(pod) < silent_since:",
        "if True:",
        "tests/controllers/test_nodes.py"
        "::test_a_kubelet_that_lives_though_its_node_is_called_silent_has_the_last_word_on_its_pods",
    ),
    Bug(
        "pods are evicted without regard to how long they tolerate",
        "actors/controllers/taint_eviction.py",
        "times.append(delay_s + (",
        "times.append(0 * delay_s + (",
        "tests/controllers/test_nodes.py::test_the_first_toleration_to_run_out_decides",
    ),
    Bug(
        "cloud gives two services one address",
        "actors/cloud/service.py",
        'taken_ips(key, views["services"]))',
        "set())",
        "tests/cloud/test_cloud_controllers.py::test_an_address_that_two_have_stays_with_the_first",
    ),
    Bug(
        "garbage collector deletes what another owner still wants",
        "actors/controllers/garbage_collector.py",
        "if owners.solid:",
        "if False:",
        "tests/controllers/test_garbage_collector.py::test_a_second_owner_keeps_a_dependent_which_loses_the_first",
    ),
    Bug(
        "garbage collector takes a late view for an owner that is gone",
        "actors/controllers/garbage_collector.py",
        "return [*confirmations, *changes]",
        "return changes",
        "tests/controllers/test_garbage_collector.py::test_an_owner_that_the_view_has_not_seen_yet_is_asked_for",
    ),
    Bug(
        "garbage collector lets an owner go before those that block it",
        "actors/controllers/garbage_collector.py",
        "release = [] if held else [",
        "release = [",
        "tests/controllers/test_garbage_collector.py::test_in_the_foreground_the_youngest_go_first",
    ),
    Bug(
        "namespace goes while something is left in it",
        "actors/controllers/namespace.py",
        "if content or news:",
        "if news:",
        "tests/controllers/test_namespace.py::test_says_which_finalizers_hold_it_up_and_goes_when_they_are_removed",
    ),
]

NODE = [
    Bug(
        "kubelet asks for the same thing twice while it is under way",
        "actors/kubelet/slots.py",
        "if slot in self._under_way:",
        "if False:",
        "tests/kubelet/test_kubelet.py::test_a_pod_runs_becomes_ready_and_leaves_nothing_behind_when_it_is_deleted",
    ),
    Bug(
        "kubelet runs two instances at once, of an old sandbox and a new one",
        "actors/kubelet/pod_worker.py",
        "        if not self.facts.running():\n            self._groundwork",
        "        if True:\n            self._groundwork",
        "tests/kubelet/test_pod_worker.py::test_a_new_sandbox_waits_until_what_ran_in_the_lost_one_has_ended",
    ),
    Bug(
        "kubelet acts although an answer was lost",
        "actors/kubelet/pod_worker.py",
        "if not self.uncertain:",
        "if True:",
        "tests/kubelet/test_pod_worker.py::test_a_lost_answer_stops_everything_until_the_runtime_has_been_listed",
    ),
    Bug(
        "kubelet backs off too little",
        "actors/kubelet/backoff.py",
        "min(2 * self.delay_s, self.most_s)",
        "self.first_s",
        "tests/kubelet/test_pod_worker.py"
        "::test_the_first_crash_is_answered_at_once_and_later_ones_after_growing_pauses",
    ),
    Bug(
        "kubelet ignores a failed liveness probe",
        "actors/kubelet/container_worker.py",
        "elif (failed := self.probes.failed) is not None:",
        "elif (failed := None) is not None:",
        "tests/kubelet/test_pod_worker.py::test_readiness_decides_about_traffic_and_liveness_about_life",
    ),
    Bug(
        "kubelet calls ready what has not answered its readiness probe",
        "actors/kubelet/probes.py",
        "(readiness is None or readiness.result is True)",
        "True",
        "tests/kubelet/test_pod_worker.py::test_readiness_decides_about_traffic_and_liveness_about_life",
    ),
    Bug(
        "kubelet gives no grace",
        "actors/kubelet/pod_worker.py",
        "deadline = self._stop_since + self._grace_s()",
        "deadline = self._stop_since",
        "tests/kubelet/test_pod_worker.py::test_a_deleted_pod_ends_gracefully_and_leaves_the_api_when_nothing_runs",
    ),
    Bug(
        "kubelet ends sidecars first",
        "actors/kubelet/pod_worker.py",
        "if not any(_is_running(worker) for worker in others):",
        "if True:",
        "tests/kubelet/test_pod_worker.py::test_a_deleted_pod_ends_its_sidecars_last",
    ),
    Bug(
        "runtime shim leaves stragglers of a container behind",
        "actors/runtime/processes.py",
        "            child.signal_group(signal.SIGKILL)\n        self._sweep_later(0)\n",
        "            child.signal_group(signal.SIGKILL)\n",
        "tests/runtime/test_process_backend.py::test_a_daemon_that_left_the_session_ends_with_its_container",
    ),
    Bug(
        "proxy sends traffic to endpoints that are not ready",
        "actors/proxy/rules.py",
        "is_ready = ready is None or bool(ready)",
        "is_ready = True",
        "tests/proxy/test_rules.py::test_every_address_of_a_service_leads_to_its_ready_endpoints",
    ),
    Bug(
        "proxy sends all traffic to one endpoint",
        "actors/proxy/balancer.py",
        "(self._turn + 1) % len(endpoints)",
        "self._turn",
        "tests/proxy/test_balancer.py::test_takes_the_endpoints_in_turn_and_offers_the_others_as_well",
    ),
]

RUNTIME = [
    Bug(
        "actor begins a request that nobody waits for any more",
        "actorkube/runtime/cell.py",
        "if envelope.expires_at <= now and not self._is_due(envelope):",
        "if isinstance(envelope, Tick) and not self._is_due(envelope):",
        "tests/runtime/test_messages.py::test_a_request_that_nobody_waits_for_any_more_is_not_begun",
    ),
    Bug(
        "deadline does not travel with what is asked on the way",
        "actorkube/runtime/system.py",
        "expires_at = min(self.loop.time() + timeout_s, deadline.get())\n        if sender",
        "expires_at = self.loop.time() + timeout_s\n        if sender",
        "tests/runtime/test_handlers.py::test_what_is_asked_on_the_way_inherits_what_is_left_of_the_request",
    ),
    Bug(
        "stream goes on without credit",
        "actorkube/runtime/stream.py",
        "        self.credit -= 1\n",
        "",
        "tests/test_bench.py::test_the_writer_of_a_stream_is_never_more_than_the_window_ahead_of_its_reader",
    ),
    Bug(
        "mailbox grows without bound",
        "actorkube/runtime/mailbox.py",
        "if self.lobby or len(self) >= self.settings.capacity + self._extra:",
        "if False:",
        "tests/runtime/test_messages.py::test_a_full_mailbox_refuses_asks",
    ),
    Bug(
        "actor is re-entered",
        "actorkube/runtime/cell.py",
        "while budget and self._in_flight < self._concurrency and",
        "while budget and",
        "tests/runtime/test_messages.py::test_a_coroutine_handler_is_not_re_entered",
    ),
    Bug(
        "supervisor never gives up",
        "actorkube/runtime/supervisor.py",
        "if restarts >= self.supervision.intensity:",
        "if False:",
        "tests/runtime/test_supervisor.py::test_more_crashes_than_the_intensity_within_the_period_escalate",
    ),
    Bug(
        "link accepts frames that make no sense",
        "actorkube/runtime/receiving.py",
        'raise ValueError(f"frame of unknown kind {kind}")',
        "pass",
        "tests/runtime/test_tcp.py::test_a_peer_that_sends_frames_of_no_known_kind_is_cut_off_with_a_reason",
    ),
    Bug(
        "link buffers a frame of any length",
        "actorkube/runtime/wire.py",
        "if length > self.frame_max:",
        "if False:",
        "tests/runtime/test_wire.py::test_a_body_beyond_the_bound_is_refused_before_it_is_buffered",
    ),
    Bug(
        "link trusts a peer that has another key",
        "actorkube/runtime/greeting.py",
        "if not hmac.compare_digest(",
        "if False and not hmac.compare_digest(",
        "tests/runtime/test_tcp.py::test_a_peer_with_another_key_is_refused_and_the_asker_knows_that_nothing_was_sent",
    ),
    Bug(
        "everybody can read the cluster's key",
        "actorkube/cli/data.py",
        "os.O_TRUNC, 0o600)",
        "os.O_TRUNC, 0o644)",
        "tests/cli/test_refusals.py::test_the_data_directory_of_a_cluster_is_stamped_private_and_opens_again",
    ),
]

LIFE = [
    Bug(
        "a group restarts a child beside one that it should be restarted with",
        "actorkube/runtime/group_state.py",
        """        if self._in_order and any(member.fate is not None for member in self.members.values()):
            return
""",
        "",
        "tests/runtime/test_group_state.py::test_a_group_does_what_otp_does",
    ),
    Bug(
        "a group counts the crash of a child that is on its way out",
        "actorkube/runtime/group_state.py",
        "if member.fate is not None or self._stopping or self.given_up:",
        "if self._stopping or self.given_up:",
        "tests/runtime/test_group_state.py::test_a_group_does_what_otp_does",
    ),
    Bug(
        "a temporary child comes back with its siblings",
        "actorkube/runtime/group_state.py",
        'Fate.GONE if member.restart == "temporary" else Fate.RESTART',
        "Fate.RESTART",
        "tests/runtime/test_group_state.py::test_a_transient_child_that_has_ended_comes_back_with_its_siblings_and_a_temporary_one_does_not",
    ),
    Bug(
        "a parent ends before its children",
        "actorkube/runtime/tree.py",
        """        while cell.branches:
            await self._end(next(reversed(cell.branches)))
        await cell.stop()
""",
        """        await cell.stop()
        while cell.branches:
            await self._end(next(reversed(cell.branches)))
""",
        "tests/runtime/test_tree.py::test_children_end_before_their_parent_which_makes_them_anew",
    ),
    Bug(
        "children whose restarts are given up stay dead without a word",
        "actorkube/runtime/tree.py",
        "            branch.parent.crash(error)\n",
        "            return\n",
        "tests/runtime/test_tree.py::test_a_child_that_crashes_too_often_is_a_crash_of_its_parent",
    ),
]

MAILBOXES = [
    Bug(
        "work goes on for an asker that has left",
        "actorkube/runtime/asks.py",
        "            self.link.asks.pop(self.corr, None)\n            self._take_back()",
        "            self.link.asks.pop(self.corr, None)",
        "tests/runtime/test_promises.py::test_an_asker_that_leaves_cancels_the_work_down_to_its_end",
    ),
    Bug(
        "work goes on for a host that is dead",
        "actorkube/runtime/system.py",
        "            call.cancel()\n",
        "            call.discard()\n",
        "tests/runtime/test_promises.py::test_a_host_that_dies_leaves_no_work_behind",
    ),
    Bug(
        "an actor is interrupted that must not be",
        "actorkube/runtime/cell.py",
        "if self.actor.cancellable:",
        "if True:",
        "tests/runtime/test_promises.py::test_an_actor_may_finish_what_it_has_begun_and_its_late_answer_is_counted",
    ),
    Bug(
        "a message does not take the place of the older one with its key",
        "actorkube/runtime/mailbox.py",
        "            older, place.newest = place.newest, envelope\n",
        "            older = envelope\n",
        "tests/runtime/test_promises.py::test_a_message_takes_the_place_of_the_one_that_waits_with_its_key",
    ),
    Bug(
        "a mailbox drops a timer's tick",
        "actorkube/runtime/mailbox.py",
        "if not oldest.is_free and oldest.expires_at != WITHDRAWN:",
        "if oldest.expires_at != WITHDRAWN:",
        "tests/runtime/test_mailbox.py::test_holds_and_loses_what_an_obvious_one_does",
    ),
    Bug(
        "who waits for room does not hear of it",
        "actorkube/runtime/cell.py",
        "        if box.lobby:\n            box.fill()\n",
        "",
        "tests/runtime/test_promises.py::test_a_send_returns_when_its_message_is_in_the_mailbox_and_waits_for_room",
    ),
    Bug(
        "a send returns before its message is in the mailbox",
        "actorkube/runtime/cell.py",
        "        if self._admit(envelope):\n            envelope.accepted()\n",
        "        envelope.accepted()\n        if self._admit(envelope):\n",
        "tests/runtime/test_promises.py::test_a_send_returns_when_its_message_is_in_the_mailbox_and_waits_for_room",
    ),
    Bug(
        "signals wait in line",
        "actorkube/runtime/cell.py",
        "            if self._signals:\n",
        "            if self._signals and not box:\n",
        "tests/runtime/test_promises.py::test_signals_come_first_and_need_no_room",
    ),
    Bug(
        "a timer that was restarted ticks once too often",
        "actorkube/runtime/timer.py",
        "            self._cell.cancel(self._waiting)\n",
        "",
        "tests/runtime/test_promises.py::test_a_timer_that_is_cancelled_or_restarted_ticks_no_more_before_its_new_time",
    ),
    Bug(
        "what a tick asks for has no time",
        "actorkube/runtime/cell.py",
        "            envelope.expires_at = math.inf\n",
        "",
        "tests/runtime/test_promises.py::test_a_tick_has_no_deadline_and_time_stands_still_while_it_is_handled",
    ),
    Bug(
        "an actor that is drained takes new messages",
        "actorkube/runtime/cell.py",
        "        self.box.close()\n",
        "",
        "tests/runtime/test_promises.py::test_an_actor_that_is_drained_handles_what_waits_and_takes_nothing_new",
    ),
    Bug(
        "an answer that is owed is forgotten with its actor",
        "actorkube/runtime/work.py",
        "            reply.fail(begun)\n",
        "            pass\n",
        "tests/runtime/test_promises.py::test_streams_and_answers_that_are_owed_end_with_their_actor",
    ),
]


HOSTILE_PEERS = [
    Bug(
        "anybody answers what somebody else was asked",
        "actorkube/runtime/receiving.py",
        "if corr in link.asks:\n            self._system.asks.answered(",
        "if True:\n            self._system.asks.answered(",
        "tests/fuzz/test_hostile_peer.py::test_nobody_answers_what_somebody_else_was_asked",
    ),
    Bug(
        "what nests too deep escapes the decoder",
        "protocols/message.py",
        "except (RecursionError, UnicodeDecodeError) as error:",
        "except UnicodeDecodeError as error:",
        "tests/fuzz/test_hostile_peer.py::test_an_answer_that_does_not_decode_fails_its_ask",
    ),
    Bug(
        "credit has no bound",
        "actorkube/runtime/stream.py",
        "if self.credit + credit > CREDIT_MAX:",
        "if False:",
        "tests/fuzz/test_hostile_peer.py::test_credit_beyond_any_reason_ends_the_connection",
    ),
    Bug(
        "an error of any size is unfolded",
        "protocols/errors.py",
        "if len(body) > ERROR_MAX:",
        "if False:",
        "tests/fuzz/test_hostile_peer.py::test_an_error_that_unfolds_to_much_is_not_unfolded",
    ),
    Bug(
        "a message that opens no stream crashes its actor as one",
        "actorkube/runtime/receiving.py",
        "if not opens_stream(type_id):",
        "if False:",
        "tests/fuzz/test_hostile_peer.py::test_a_request_that_does_not_decode_is_refused_and_its_actor_goes_on",
    ),
]

SIMULATION = [
    Bug(
        "simulated disk keeps what was never synced",
        "actorkube/sim/disk.py",
        "self.harden(self.done + chance.choice((0, len(self._pending), chance.randint(0, len(self._pending)))))",
        "self.harden(self.issued)",
        "tests/sim/test_disk.py::test_what_is_synced_survives_and_what_is_not_may_vanish_or_tear",
    ),
    Bug(
        "simulation iterates over a set of names",
        "actorkube/sim/stage.py",
        "for src in sorted(one) for dst in sorted(other)",
        "for src in set(one) for dst in set(other)",
        "tests/sim/test_determinism.py::test_a_seed_runs_the_same_way_in_processes_with_different_hash_seeds",
    ),
    Bug(
        "simulated host runs on after it has crashed",
        "actorkube/sim/loop.py",
        "if owner is not None and owner.state:",
        "if owner is not None and owner.state is State.PAUSED:",
        "tests/sim/test_loop.py::test_what_is_due_in_the_very_turn_in_which_its_domain_dies_does_not_run",
    ),
    Bug(
        "simulated partition lets through what was under way",
        "actorkube/sim/transport.py",
        "elif far.way.blocks:",
        "elif False:",
        "tests/sim/test_network.py::test_a_partition_also_takes_what_is_under_way",
    ),
    Bug(
        "a simulated clock that drifts leaves the timers that run",
        "actorkube/sim/loop.py",
        "if timer.clock is clock else when, birth, timer)",
        "if False else when, birth, timer)",
        "tests/sim/test_clocks.py::test_a_timer_that_runs_already_follows_its_clock_from_then_on",
    ),
    Bug(
        "what actors take for now goes back when a clock is set back",
        "actorkube/sim/clock.py",
        "if now > self._latest_s:",
        "if True:",
        "tests/sim/test_clocks.py::test_a_wall_clock_that_is_set_ahead_jumps_and_one_that_is_set_back_stands_still",
    ),
    Bug(
        "a simulated link hands on what overtook a packet that is sent again",
        "actorkube/sim/transport.py",
        "            self._early[sequence] = frame\n",
        "            self._accept(far, frame)\n",
        "tests/sim/test_network.py::test_a_lost_packet_is_sent_again_and_those_behind_it_wait",
    ),
    Bug(
        "a slow link lets packets through side by side",
        "actorkube/sim/network.py",
        "max(now, self.free_at)",
        "now",
        "tests/sim/test_network.py::test_a_slow_link_makes_packets_queue_and_only_in_its_direction",
    ),
    Bug(
        "a rotten disk gives back what was written",
        "actorkube/sim/disk.py",
        "            self._durable[place] ^= bit\n",
        "",
        "tests/sim/test_disk.py::test_rot_chooses_among_all_that_is_durable_and_survives_a_crash",
    ),
    Bug(
        "a run that differs from its recording goes on",
        "actorkube/sim/recording.py",
        "elif recorded != entry:",
        "elif False:",
        "tests/sim/test_recording.py::test_a_run_that_does_something_else_is_stopped_there_and_told_what",
    ),
    Bug(
        "a played actor may decide what it likes",
        "actorkube/sim/solo.py",
        "if recorded[1:] != found[1:]:",
        "if recorded[1] != found[1]:",
        "tests/sim/test_solo.py::test_an_actor_that_decides_something_else_is_found_and_shown_what",
    ),
    Bug(
        "the order of an actor's tasks is not on its tape",
        "actorkube/runtime/taped.py",
        "            error = yield from self._may_step(error)\n",
        "",
        "tests/sim/test_solo.py::test_whatever_the_order_of_tasks_was_the_tape_has_it",
    ),
    Bug(
        "a sweep runs twice under the same hashes of strings",
        "actorkube/sim/sweep.py",
        'HASH_SEEDS = ("0", "1")',
        'HASH_SEEDS = ("0", "0")',
        "tests/cli/test_sim.py::test_running_twice_finds_what_depends_on_the_hashes_of_strings",
    ),
    Bug(
        "a sweep passes though a probe was never reached",
        "actorkube/cli/sim.py",
        "return 1 if totals.failed or missed else 0",
        "return 1 if totals.failed else 0",
        "tests/cli/test_sim.py::test_a_sweep_fails_when_a_probe_that_it_must_reach_was_not_reached",
    ),
]

CLOCK = [
    Bug(
        "a clock jumps over timers on its way to a goal",
        "actorkube/runtime/clock.py",
        "to = min(goal, next_timer)",
        "to = goal",
        "tests/runtime/test_clock.py::test_no_timer_is_early_none_is_skipped_and_they_fire_in_order",
    ),
    Bug(
        "what comes from outside comes after timers that have not fired",
        "actorkube/runtime/clock.py",
        "max(self.now, min(self._target(real), next_timer))",
        "max(self.now, self._target(real))",
        "tests/runtime/test_clock.py::test_what_comes_from_outside_comes_between_two_timers",
    ),
    Bug(
        "virtual time does not wait for threads",
        "actorkube/runtime/clock_loop.py",
        "wait_s = self._held_for(real)",
        "wait_s = 0.0",
        "tests/runtime/test_clock_loop.py::test_time_waits_for_the_disk",
    ),
    Bug(
        "virtual time does not look at sockets before it moves",
        "actorkube/runtime/clock_loop.py",
        "            events = poll(0)\n",
        "            events: Events = []\n",
        "tests/runtime/test_clock_loop.py::test_time_waits_for_what_is_under_way_on_real_sockets",
    ),
    Bug(
        "timers fire before their time has come",
        "actorkube/runtime/clock_loop.py",
        "return math.ulp(self.clock.now)",
        "return 0.01",
        "tests/runtime/test_clock_loop.py::test_timers_a_moment_apart_fire_each_at_its_own_time",
    ),
    Bug(
        "virtual time does not wait for what real processes do",
        "actorkube/runtime/real_time.py",
        "if hold is None else hold(what, at_most_s)",
        "if hold is None else contextlib.nullcontext()",
        "tests/runtime/test_real_time.py::test_a_process_ends_before_the_time_that_it_is_given_to_end",
    ),
    Bug(
        "a system that starts later lives at another time than the others",
        "actorkube/runtime/system.py",
        "time.time() - self.loop.time() if epoch is None else epoch",
        "time.time() - self.loop.time()",
        "tests/runtime/test_clock_loop.py::test_actors_live_on_the_clock_also_those_of_a_system_that_is_started_later",
    ),
    Bug(
        "who handles a request does not count as busy",
        "actorkube/runtime/cell.py",
        "        if self._in_flight:\n            reasons",
        "        if False:\n            reasons",
        "tests/runtime/test_settled.py::test_who_is_busy_is_named_when_the_time_is_up",
    ),
    Bug(
        "an advance is given up though time moves",
        "actorkube/runtime/clock_loop.py",
        "        self._arrival.renew(real)\n",
        "",
        "tests/runtime/test_clock_loop.py::test_patience_is_with_what_does_not_move_not_with_what_takes_long",
    ),
    Bug(
        "a killed host says goodbye",
        "actorkube/runtime/hosts.py",
        'planned = self._planned and reason == "is to stop"',
        'planned = reason == "is to stop"',
        "tests/runtime/test_live.py::test_a_killed_host_says_nothing_and_a_stopped_one_says_goodbye",
    ),
]

OBSERVATION = [
    Bug(
        "an item of a stream has no cause for its reader",
        "actorkube/runtime/stream.py",
        "cause.set(trace)  # what the reader",
        "cause.get()  # what the reader",
        "tests/runtime/test_tracing.py::test_an_item_is_caused_by_what_was_written_not_by_the_turn_that_sent_it",
    ),
    Bug(
        "a timer forgets why it was armed",
        "actorkube/runtime/cell.py",
        "tick.timer.cause or self.system.tracer.root(self)",
        "self.system.tracer.root(self)",
        "tests/runtime/test_tracing.py::test_a_cause_crosses_every_way_in_which_one_message_leads_to_another",
    ),
    Bug(
        "who hears of a crash does not know why it happened",
        "actorkube/runtime/cell.py",
        "signal.trace = self.system.tracer.outgoing(None)",
        "signal.trace = self.system.tracer.root()",
        "tests/runtime/test_tracing.py::test_who_hears_of_a_crash_acts_because_of_the_message_that_caused_it",
    ),
    Bug(
        "a task does not know what it acts for",
        "actorkube/runtime/work.py",
        "context.run(cause.set, cell.system.tracer.following(cell))",
        "context.run(cause.set, None)",
        "tests/runtime/test_tracing.py::test_a_cause_crosses_every_way_in_which_one_message_leads_to_another",
    ),
    Bug(
        "a trace of timers grows for ever",
        "actorkube/runtime/tracing.py",
        "trace.timers >= TIMERS_IN_TRACE_MAX",
        "trace.timers > 126",
        "tests/runtime/test_tracing.py::test_a_loop_of_timers_does_not_grow_one_trace_for_ever",
    ),
    Bug(
        "a short traced frame is read beyond its end",
        "protocols/trace.py",
        "if len(body) < CONTEXT_SIZE:",
        "if not body:",
        "tests/runtime/test_tracing.py::test_a_traced_frame_that_makes_no_sense_is_refused",
    ),
    Bug(
        "watchers hear of a revision before its cause is known",
        "actors/apiserver/feed.py",
        "self._causes.happened(response.events)",
        "self._ctx.call_soon(lambda response=response: self._causes.happened(response.events))",
        "tests/observe/test_why.py::test_a_pod_is_there_because_somebody_asked_for_a_deployment",
    ),
    Bug(
        "a controller acts for whoever woke it first",
        "actorkube/kube/actor.py",
        "self._causes.pop(key, None)):",
        "self._actor.ctx.cause):",
        "tests/observe/test_why.py::test_pods_move_because_their_node_fell_silent",
    ),
    Bug(
        "a controller sees its own write as caused by the decision",
        "actorkube/kube/client.py",
        "ctx.keep_answer_cause(answered)",
        "pass",
        "tests/kube/test_causes.py::test_an_own_write_that_no_watch_tells_of_is_the_cause_of_the_next_pass",
    ),
    Bug(
        "anybody may look into the cluster",
        "actors/apiserver/rest/observe.py",
        "if not caller.trusted:",
        "if not caller.user:",
        "tests/apiserver/test_observe_rest.py::test_only_who_may_administer_the_cluster_looks_into_it",
    ),
    Bug(
        "an observer relays what is not for observers",
        "actorkube/runtime/observer.py",
        "if not isinstance(request, _FOR_OBSERVERS):",
        "if not isinstance(request, Message):",
        "tests/observe/test_observer.py::test_what_observers_are_not_for_is_refused",
    ),
    Bug(
        "a rate counts what a process did before it was started again",
        "actorkube/cli/top.py",
        "if before is None or sum(before.counts) > sum(now.counts):",
        "if before is None:",
        "tests/observe/test_rendering.py::test_who_is_new_or_was_started_again_counts_from_its_start",
    ),
]

LINKS = [
    Bug(
        "a successor is read before the connection that it follows",
        "actorkube/runtime/tcp_link.py",
        "            connection.hold()\n",
        "",
        "tests/runtime/test_tls.py::test_what_is_still_under_way_on_the_old_connection_is_read_before_what_the_new_one_brings",
    ),
    Bug(
        "an old connection is closed before the peer has left it",
        "actorkube/runtime/tcp_link.py",
        "while len(self._reading) > 1 and self._reading[0].moved:",
        "while len(self._reading) > 1:",
        "tests/runtime/test_tls.py::test_certificates_change_while_messages_flow_and_none_is_lost_or_doubled_or_overtaken",
    ),
    Bug(
        "any certificate of the cluster will do for any system",
        "actorkube/runtime/identity.py",
        "if uri(self.cluster, system) in uris:",
        "if uris:",
        "tests/runtime/test_tls.py::test_a_system_that_shows_the_certificate_of_another_is_refused_with_a_sentence",
    ),
    Bug(
        "guests may sign for the cluster",
        "actorkube/runtime/certificates.py",
        "self._authority(name, key).add_extension(x509.NameConstraints(permitted, None), True)",
        "self._authority(name, key)",
        "tests/runtime/test_tls.py::test_the_guests_authority_cannot_sign_for_the_cluster",
    ),
    Bug(
        "a guest may be one of the cluster",
        "actorkube/runtime/tcp.py",
        "if is_guest and (name in self.book or name == self.system.name):",
        "if False:",
        "tests/runtime/test_tls.py::test_a_guest_cannot_be_one_of_the_clusters_own",
    ),
    Bug(
        "who lives on this host is believed over the network",
        "actorkube/runtime/tcp.py",
        "isinstance(self.book.get(name), str)",
        "False",
        "tests/runtime/test_flow.py::test_who_is_refused_is_told_what_differs",
    ),
    Bug(
        "a revoked certificate is good until the link ends",
        "actorkube/runtime/tcp.py",
        "if any(serial in identity.revoked for serial in link.serials):",
        "if False:",
        "tests/runtime/test_tls.py::test_a_peer_whose_certificate_is_revoked_is_cut_off_at_once",
    ),
    Bug(
        "a link outlives the certificate that it was made with",
        "actorkube/runtime/tcp_link.py",
        "connection.valid_until <= self._owner.system.now",
        "False",
        "tests/runtime/test_tls.py::test_a_link_does_not_outlive_the_certificate_of_its_peer",
    ),
    Bug(
        "links stay on certificates that nobody believes any more",
        "actorkube/runtime/tcp_link.py",
        "if self._renew_until is not None and self._loop.time() > self._renew_until:",
        "if False:",
        "tests/runtime/test_tls.py::test_a_peer_that_has_no_place_under_the_new_authority_is_let_go_of_in_time",
    ),
    Bug(
        "any user may call on a unix socket",
        "actorkube/runtime/connection.py",
        "if user != self._owner.user:",
        "if False:",
        "tests/runtime/test_flow.py::test_a_process_of_another_user_is_refused_on_a_unix_socket",
    ),
    Bug(
        "any number of strangers may knock",
        "actorkube/runtime/tcp.py",
        "greeting > self.settings.greetings_max",
        "False",
        "tests/runtime/test_flow.py::test_only_so_many_may_greet_at_once",
    ),
    Bug(
        "a full link takes work until memory ends",
        "actorkube/runtime/wire.py",
        "(self.size > self._most or kind in _new_work)",
        "False",
        "tests/runtime/test_flow.py::test_a_peer_that_does_not_read_gets_no_new_work_until_it_reads_again",
    ),
    Bug(
        "who waits for room waits for ever when the link ends",
        "actorkube/runtime/tcp_link.py",
        "if self.ended or self._outbox.size <=",
        "if self._outbox.size <=",
        "tests/runtime/test_flow.py::test_who_waits_for_room_goes_on_when_the_link_ends",
    ),
]

BUGS = [
    *STORE,
    *API_SERVER,
    *SCHEDULER,
    *CONTROLLERS,
    *NODE,
    *RUNTIME,
    *LIFE,
    *LINKS,
    *CLOCK,
    *HOSTILE_PEERS,
    *SIMULATION,
    *OBSERVATION,
    *MAILBOXES,
]
