"""Bugs of rules, defaults and zeros, as a real kube-apiserver has them: where ours differed from it."""

from __future__ import annotations

from tests.planted.bug import Bug

_RULES = "actors/apiserver/rules"
_CHECK = "tests/apiserver/schema/test_check.py"
_PREPARE = "tests/apiserver/rules/test_prepare.py"
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
]
