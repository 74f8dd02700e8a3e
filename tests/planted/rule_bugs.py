"""Bugs of rules, defaults and zeros, as a real kube-apiserver has them: where ours differed from it."""

from __future__ import annotations

from tests.planted.bug import Bug

_RULES = "actors/apiserver/rules"
_CHECK = "tests/apiserver/schema/test_check.py"
_PREPARE = "tests/apiserver/rules/test_prepare.py"
_ANSWERS = "tests/apiserver/rules/test_answers.py::test_the_answer_is_the_one_that_was_seen"
_DEFAULTS = "tests/apiserver/rules/test_defaults.py"

RULES = [
    Bug(
        "a type that a chart leaves empty is refused",
        "actors/apiserver/schema/check.py",
        "elif not below and name in omitted and",
        "elif False and",
        f"{_CHECK}::test_what_is_empty_is_as_good_as_absent_where_go_leaves_it_out",
    ),
    Bug(
        "a deployment of no replicas has one",
        "actors/apiserver/schema/types.py",
        "if not (kept.get(name, True) or name in self.required",
        "if not (name in self.required",
        f"{_CHECK}::test_what_is_empty_stays_where_that_says_something",
    ),
    Bug(
        "whatever is false passes for whatever is empty",
        "actors/apiserver/schema/check.py",
        "elif not below and name in omitted and below.__class__ in ZEROS[expected.kind]:",
        "elif not below and name in omitted:",
        f"{_CHECK}::test_an_empty_value_of_another_type_is_an_error",
    ),
    Bug(
        "a new ReplicaSet does not say how many replicas it has",
        f"{_RULES}/prepare.py",
        '    "replicasets.apps": {"replicas": 0},\n',
        "",
        f"{_PREPARE}::test_what_counts_something_begins_with_zeros",
    ),
    Bug(
        "a webhook's configuration has no generation",
        f"{_RULES}/prepare.py",
        '        "mutatingwebhookconfigurations.admissionregistration.k8s.io",\n',
        "",
        f"{_PREPARE}::test_what_a_generation_counts_depends_on_the_kind",
    ),
    Bug(
        "a job has no labels",
        f"{_RULES}/prepare.py",
        "            label_like_its_pods(created)\n",
        "",
        f"{_PREPARE}::test_a_job_that_has_no_labels_has_those_of_its_pods",
    ),
    Bug(
        "a job that selects by hand is labelled all the same",
        f"{_RULES}/job_selector.py",
        '    if (job.get("spec") or {}).get("manualSelector"):\n        return\n',
        "",
        f"{_PREPARE}::test_a_job_that_selects_by_hand_is_left_alone",
    ),
    Bug(
        "a Lease without a spec is kept without one",
        f"{_RULES}/defaults/__init__.py",
        '    "leases.coordination.k8s.io": cluster.with_a_spec,\n',
        "",
        f"{_DEFAULTS}::test_what_is_always_there_is_there_though_nothing_is_said",
    ),
    Bug(
        "a container may run as nobody that there is",
        f"{_RULES}/validate/security_context.py",
        "if value is not None and not 0 <= value <= _ID_MAX:",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a seccomp profile of the node's need not say which",
        f"{_RULES}/validate/security_context.py",
        '    elif local is None:\n        yield required(where, "must be set when seccomp type is Localhost")\n',
        "    elif local is None:\n        return\n",
        _ANSWERS,
    ),
    Bug(
        "a pod sets what its whole node has in common",
        f"{_RULES}/validate/security_context.py",
        "if spec.get(shared) and name",
        "if False and name",
        _ANSWERS,
    ),
    Bug(
        "a pod with users of its own shares its node's processes",
        f"{_RULES}/validate/pods.py",
        "    yield from host_users(field, spec)\n",
        "",
        _ANSWERS,
    ),
    Bug(
        "containers may ask for more than their pod",
        f"{_RULES}/validate/pod_resources.py",
        "if asked > amount(name, value):",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a pod with a limit asks for all of it, though its containers ask for less",
        f"{_RULES}/defaults/pods.py",
        'resources["requests"] = {**resources["limits"], **asked,',
        'resources["requests"] = {**resources["limits"],',
        f"{_DEFAULTS}::test_a_pod_with_limits_of_its_own_asks_for_what_its_containers_do",
    ),
    Bug(
        "half a huge page may be had",
        f"{_RULES}/validate/resources.py",
        "if page <= 0 or parse_quantity(value) % page:",
        "if page <= 0:",
        _ANSWERS,
    ),
    Bug(
        "two parts of a projected volume are one file",
        f"{_RULES}/validate/projections.py",
        "        if path in paths:\n",
        "        if False:\n",
        _ANSWERS,
    ),
    Bug(
        "whoever is not privileged mounts into the node",
        f"{_RULES}/validate/volumes.py",
        'elif how == "Bidirectional" and not',
        "elif False and not",
        _ANSWERS,
    ),
    Bug(
        "a service is reached at the address of whoever asks",
        f"{_RULES}/addresses.py",
        "    elif address.is_loopback:\n",
        "    elif False:\n",
        _ANSWERS,
    ),
    Bug(
        "two load balancers ask one port for their nodes' health",
        "actors/apiserver/allocate.py",
        '        ports.append(spec["healthCheckNodePort"])\n',
        "        pass\n",
        "tests/apiserver/test_allocation.py::test_a_load_balancer_that_keeps_local_has_a_port_for_health_checks",
    ),
    Bug(
        "a policy excepts what it does not allow",
        f"{_RULES}/validate/networking.py",
        "if not problems and not addresses.is_strictly_within(part, whole):",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "an ingress has a host that is an address",
        f"{_RULES}/validate/networking.py",
        "if host and addresses.is_one(host):",
        "if False:",
        _ANSWERS,
    ),
]
