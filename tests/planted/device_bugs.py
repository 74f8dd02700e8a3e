"""Bugs of devices: who makes claims, who gets which devices, and when they are free again."""

from __future__ import annotations

from tests.planted.bug import Bug

_CONTROLLER = "actors/controllers/resourceclaim.py"
_CLAIMS = "tests/controllers/test_resourceclaim.py"
_ALLOCATOR = "actors/scheduler/devices/allocator.py"
_SEARCH = "tests/scheduler/test_device_allocator.py"
_SLOW_WAY = f"{_SEARCH}::test_it_finds_what_the_slow_way_finds_first"
_PODS = "tests/scheduler/test_device_claims.py"
_SIM = "tests/scheduler/test_devices_sim.py"
_KINDS = "tests/scheduler/test_device_kinds.py"
_EACH_NODE = f"{_KINDS}::test_what_is_kept_of_all_nodes_is_what_each_would_say"
_POOLS = "actors/scheduler/devices/pools.py"

DEVICES = [
    Bug(
        "a claim that somebody deletes is made again under the name that it had",
        _CONTROLLER,
        " and not claims.was_used(key))",
        ")",
        f"{_CLAIMS}::test_a_claim_that_somebody_deletes_is_made_again_but_not_for_a_pod_that_is_to_go",
    ),
    Bug(
        "a pod that has ended keeps its devices",
        _CONTROLLER,
        "    return is_terminated(pod) or (",
        "    return False or (",
        f"{_CLAIMS}::test_devices_are_free_when_the_last_user_is_done",
    ),
    Bug(
        "devices are free when the first of their users is done",
        _CONTROLLER,
        "now_for if left or not is_protected(claim) else",
        "now_for if not is_protected(claim) else",
        f"{_CLAIMS}::test_devices_are_free_when_the_last_user_is_done",
    ),
    Bug(
        "that a user is gone is read from a view that lags",
        _CONTROLLER,
        "writes += [*_surely_gone(claim, users, views), _released(claim, left)]",
        "writes += [_released(claim, left)]",
        f"{_CLAIMS}::test_a_claim_is_kept_for_a_user_that_is_not_seen_yet",
    ),
    Bug(
        "a template that is made later makes no claim",
        _CONTROLLER,
        "            Watches(TEMPLATES, pods_of_template, ",
        "            Watches(TEMPLATES, lambda template, views: (), ",
        f"{_CLAIMS}::test_a_template_that_is_not_there_is_lamented_and_waited_for",
    ),
    Bug(
        "a device that another claim has is given away again",
        _ALLOCATOR,
        "        return not users and offered.device not in self._taken.devices\n",
        "        return not users\n",
        f"{_SEARCH}::test_the_first_devices_that_will_do",
    ),
    Bug(
        "a device is given to two claims of one pod",
        _ALLOCATOR,
        "        return not users and offered.device not in self._taken.devices\n",
        "        return offered.device not in self._taken.devices\n",
        _SLOW_WAY,
    ),
    Bug(
        "what did not lead anywhere stays taken",
        _ALLOCATOR,
        "            self._give(at.claim, move.pick, -1)\n",
        "            pass\n",
        _SLOW_WAY,
    ),
    Bug(
        "what devices share is not counted",
        _ALLOCATOR,
        "            spent[name, counter] + amount <= pool.counters[name][counter]\n",
        "            amount <= pool.counters[name][counter]\n",
        _SLOW_WAY,
    ),
    Bug(
        "of a device that is shared there is always enough",
        _ALLOCATOR,
        "sum(h[name] for h in held) + each <= ",
        "each <= ",
        f"{_SEARCH}::test_several_claims_have_a_shared_device_as_long_as_there_is_some_of_it",
    ),
    Bug(
        "a share is rounded down",
        "actors/scheduler/devices/shares.py",
        "least + -(-(amount - least) // step) * step",
        "least + (amount - least) // step * step",
        f"{_SEARCH}::test_a_share_is_what_the_capacitys_policy_makes_of_what_is_asked",
    ),
    Bug(
        "a share that is given back stays taken",
        "actors/scheduler/devices/holdings.py",
        "                self.shares[device][name] -= amount\n",
        "                pass\n",
        f"{_SEARCH}::test_several_claims_have_a_shared_device_as_long_as_there_is_some_of_it",
    ),
    Bug(
        "a constraint looks at the last device alone",
        _ALLOCATOR,
        "return value not in others if constraint.distinct",
        "return value not in others[-1:] if constraint.distinct",
        f"{_SEARCH}::test_of_devices_that_are_to_differ_no_two_are_alike",
    ),
    Bug(
        "slices of a generation that was replaced still count",
        "actors/scheduler/devices/pools.py",
        " if each.generation == generation)",
        ")",
        f"{_SEARCH}::test_of_a_pool_only_the_newest_generation_counts_and_only_when_all_of_it_is_there",
    ),
    Bug(
        "configuration for an alternative that was not chosen is passed on",
        "actors/scheduler/devices/results.py",
        "        if not requests or not names.isdisjoint(requests):\n",
        "        if True:\n",
        f"{_SEARCH}::test_the_configuration_is_that_of_the_classes_then_that_of_the_claim",
    ),
    Bug(
        "what could be allocated is remembered though another has it now",
        "actors/scheduler/devices/pools.py",
        "        if pool is not None:\n            self._renew_version(pool)\n",
        "        if pool is not None:\n            pass\n",
        _EACH_NODE,
    ),
    Bug(
        "a node whose devices are given away is thought to be as before",
        _POOLS,
        "            self._changed |= pool.nodes_of(device)\n",
        "",
        f"{_PODS}::test_two_pods_of_one_turn_do_not_get_the_same_device",
    ),
    Bug(
        "that devices which are on no node are given away is no news for all others",
        _POOLS,
        '            self.far_version += "" in pool.nodes\n',
        "",
        _EACH_NODE,
    ),
    Bug(
        "a pool that was gone is thought to be what it was",
        _POOLS,
        "        pool.version = self._changes\n",
        "        pool.version += 1\n",
        _EACH_NODE,
    ),
    Bug(
        "what is wrong with one node is said of those that have alike devices",
        "actors/scheduler/devices/answers.py",
        "if not isinstance(found, CannotAllocate) or not found.names:",
        "if True:",
        _EACH_NODE,
    ),
    Bug(
        "an expression that may look at any attribute looks at those that it names",
        "actors/scheduler/devices/looks.py",
        "    return None if _DEVICE.search(",
        "    return None if False and _DEVICE.search(",
        "tests/scheduler/test_device_kinds.py::test_which_attributes_an_expression_looks_at",
    ),
    Bug(
        "who has the devices of a node makes no difference to its kind",
        "actors/scheduler/devices/kinds.py",
        "        return part.content, tuple(who_has), ",
        "        return part.content, (), ",
        f"{_PODS}::test_two_pods_of_one_turn_do_not_get_the_same_device",
    ),
    Bug(
        "a pod is told of the claims of another that asked alike",
        "actors/scheduler/cycle.py",
        "        template.cycle.shape = shape  # it has claims of devices of its own\n",
        "",
        f"{_KINDS}::test_pods_whose_claims_ask_alike_hear_of_their_own_claims",
    ),
    Bug(
        "a slice that says the same again is news",
        _POOLS,
        "(one.pool, one.generation, one.slices, one.counters)",
        "(one.pool, one.generation, one.count, one.counters)",
        f"{_KINDS}::test_a_slice_that_says_what_it_said_before_is_no_news",
    ),
    Bug(
        "a device that its claim was seen to have and to lose is free before its attempt is over",
        "actors/scheduler/device_claims.py",
        "if (assumed := self._assumed.get(key)) is not None and was_allocated != self._is_allocated(key):",
        "if self._is_allocated(key) and (assumed := self._assumed.pop(key, None)) is not None:",
        f"{_SIM}::test_a_lost_answer_gives_no_device_away_twice",
    ),
    Bug(
        "news that are older than the answer to a write undo it",
        "actors/scheduler/device_claims.py",
        "            if revision_of(obj) < revision_of(before.obj):\n",
        "            if False:\n",
        f"{_PODS}::test_news_that_are_older_than_an_answer_change_nothing",
    ),
    Bug(
        "devices are given away before all claims have been seen",
        "actors/scheduler/devices/needs.py",
        "    if not state.devices.all_seen:\n",
        "    if False:\n",
        f"{_PODS}::test_no_devices_are_given_before_all_claims_have_been_seen",
    ),
    Bug(
        "when an answer is lost the devices are free at once",
        "actors/scheduler/device_binding.py",
        "    return not isinstance(error, StatusError) or error.code >= 500\n",
        "    return False\n",
        f"{_SIM}::test_a_lost_answer_gives_no_device_away_twice",
    ),
    Bug(
        "a claim whose devices are out of reach keeps them",
        "actors/scheduler/actor.py",
        "        if decision.frees:\n",
        "        if False:\n",
        f"{_PODS}::test_a_claim_whose_devices_are_out_of_reach_gets_others",
    ),
    Bug(
        "who waits for a claim that another pod gets devices for is not told",
        "actors/scheduler/actor.py",
        "            self._happened(ClusterEvent.DEVICE_CLAIM if demand.shape.device_claims else ClusterEvent.NONE)\n",
        "            pass\n",
        f"{_SIM}::test_a_lost_answer_gives_no_device_away_twice",
    ),
    Bug(
        "why the claims of a pod cannot be used is remembered, though it is something else now",
        "actors/scheduler/cycle.py",
        "state.groups.selector(shape), why_not, version)",
        "state.groups.selector(shape), version)",
        f"{_KINDS}::test_a_pod_hears_what_is_wrong_with_its_claim_now",
    ),
    Bug(
        "`why` names no claim that has a device",
        "actors/scheduler/explain/device_remedies.py",
        "if each.device in devices.holdings.devices]",
        "if False]",
        f"{_PODS}::test_why_says_who_has_the_devices_that_would_fit",
    ),
    Bug(
        "a pod that waits for its claim is not told when it comes",
        "actors/scheduler/views.py",
        "        if changed and resource == CLAIMS:\n",
        "        if False:\n",
        f"{_PODS}::test_a_pod_enters_the_queue_when_its_claim_comes",
    ),
    Bug(
        "whoever asks has access to devices that others have",
        "actors/apiserver/admission/admin_access.py",
        "    if not asking or labels_of(",
        "    if True or labels_of(",
        "tests/apiserver/admission/test_admin_access.py::test_a_namespace_must_allow_access_to_others_devices",
    ),
    Bug(
        "a pod runs though its claim is another's",
        "actors/kubelet/device_claims.py",
        "if allocation_of(claim) is None or not is_user(claim, uid_of(pod)):",
        "if allocation_of(claim) is None:",
        "tests/kubelet/test_device_claims.py::test_a_claim_that_cannot_be_used_says_why",
    ),
]
