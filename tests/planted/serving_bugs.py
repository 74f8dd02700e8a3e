"""Bugs of what components count, and of the pages that they serve to operators."""

from __future__ import annotations

from tests.planted.bug import Bug

_METRICS = "tests/scheduler/test_metrics.py::"
_SERVING = "tests/scheduler/test_serving.py::"

SERVING = [
    Bug(
        "an attempt that ended in an error counts as one that found no node",
        "actors/scheduler/actor.py",
        "self._count(queued, Result.ERROR)",
        "self._count(queued, Result.UNSCHEDULABLE)",
        _METRICS + "test_attempts_are_told_by_what_came_of_them",
    ),
    Bug(
        "a pod that is popped early is not counted as one that came into the active queue",
        "actors/scheduler/queue.py",
        "self.incoming[ACTIVE, POPPED_EARLY] += 1",
        "pass",
        _METRICS + "test_what_moves_a_pod_is_told_by_event_and_queue",
    ),
    Bug(
        "who waits for an event is not told as refused",
        "actors/scheduler/queue.py",
        "if queued.place in (Place.UNSCHEDULABLE, Place.BACKOFF) and not queued.errors:",
        "if queued.place is Place.BACKOFF and not queued.errors:",
        _METRICS + "test_who_waits_is_told_by_queue_and_by_who_refused_it",
    ),
    Bug(
        "a search for victims is not counted",
        "actors/scheduler/cycle.py",
        "self.counts.preemptions += plugin.preempts",
        "pass",
        _METRICS + "test_preemption_is_told_with_its_victims",
    ),
    Bug(
        "a value that is a bound counts above it",
        "actorkube/runtime/histogram.py",
        "self._counts[bisect_left(self._bounds, value)] += 1",
        "self._counts[bisect_left(self._bounds, value + 1e-9)] += 1",
        "tests/runtime/test_histogram.py::test_what_is_a_bound_is_below_it",
    ),
    Bug(
        "pods that have ended ask for something",
        "actors/scheduler/exposition.py",
        "if node_of(pod) and is_terminated(pod):",
        "if False:",
        _METRICS + "test_what_pods_ask_for_is_told_with_units",
    ),
    Bug(
        "overhead limits what is not limited",
        "protocols/rules/resources.py",
        'amounts(spec.get("overhead")).items() if total.get(r)})',
        'amounts(spec.get("overhead")).items()})',
        "tests/rules/test_resources.py::test_limits_add_up_as_requests_do_and_overhead_adds_to_what_is_limited",
    ),
    Bug(
        "metrics are open to everybody",
        "actorkube/kube/component_pages.py",
        "if asked.path not in KINDS:",
        'if asked.path not in (*KINDS, "/metrics"):',
        _SERVING + "test_metrics_are_for_who_may_read_them",
    ),
    Bug(
        "a token that is no good makes its bearer anonymous",
        "actorkube/kube/delegated.py",
        'raise Unauthorized("Unauthorized")',
        "return ANONYMOUS",
        _SERVING + "test_metrics_are_for_who_may_read_them",
    ),
    Bug(
        "who may is not looked at",
        "actorkube/kube/delegated.py",
        'if not (review.get("status") or {}).get("allowed"):',
        'if (review.get("status") or {}).get("denied"):',
        _SERVING + "test_metrics_are_for_who_may_read_them",
    ),
    Bug(
        "one check alone is open to everybody",
        "actorkube/kube/component_pages.py",
        "if asked.path not in KINDS:",
        "if not asked.path.startswith(KINDS):",
        _SERVING + "test_everybody_may_ask_whether_it_is_well",
    ),
    Bug(
        "a component whose actor is gone is well",
        "actorkube/kube/component_pages.py",
        'checks = {"ping": True, self._serving.actor: False}',
        'checks = {"ping": True}',
        _SERVING + "test_a_scheduler_that_is_gone_is_not_well",
    ),
    Bug(
        "a scheduler is ready before it has seen the cluster",
        "actors/scheduler/self_report.py",
        'return {"sched-handler-sync": self._views.synced}',
        'return {"sched-handler-sync": True}',
        _SERVING + "test_a_scheduler_that_has_not_seen_the_cluster_lives_and_is_not_ready",
    ),
    Bug(
        "who asks for what there is not makes a series of his own",
        "actors/apiserver/rest/counts.py",
        'return Subject(_VERBS.get(asked.verb, asked.verb.upper()) if known else "other")',
        "return Subject(asked.verb.upper(), asked.group, resource=asked.resource)",
        "tests/apiserver/test_request_metrics.py::test_who_asks_for_what_there_is_not_makes_no_series_of_his_own",
    ),
    Bug(
        "a watch that has ended is held open for ever",
        "actors/apiserver/rest/counts.py",
        "            counts.held[subject] -= 1",
        "            pass",
        "tests/apiserver/test_request_metrics.py::test_a_watch_that_its_client_ends_was_answered",
    ),
    Bug(
        "a node tells what all its containers have used, which falls when one ends",
        "actors/apiserver/rest/node_proxy.py",
        "_measured(containers, usage.time, sums=False)",
        "_measured(containers, usage.time)",
        "tests/apiserver/test_metrics_api.py::test_a_node_shows_the_pages_of_its_kubelet",
    ),
    Bug(
        "JSON that names no version is given to a program that would break with the next one",
        "actorkube/kube/zpages.py",
        'asked.get("v") in _VERSIONS',
        "True",
        "tests/kube/test_zpages.py::test_what_cannot_be_given_is_not_given_in_another_form",
    ),
    Bug(
        "a server of 1.35 has the pages of 1.36",
        "actorkube/kube/zpages.py",
        'PATHS if int(version.partition(".")[2]) >= SINCE else ()',
        "PATHS",
        "tests/kube/test_zpages.py::test_older_versions_have_no_such_pages",
    ),
]
