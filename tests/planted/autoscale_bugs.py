"""Bugs of the horizontal pod autoscaler, and of what it is told of pods' use."""

from __future__ import annotations

from tests.planted.bug import Bug

_CORE = "tests/controllers/test_hpa_core.py"
_WORLD = "tests/controllers/test_hpa.py"
_METRICS = "actors/controllers/hpa_metrics.py"
_BEHAVIOR = "actors/controllers/hpa_behavior.py"

AUTOSCALING = [
    Bug(
        "pods that are not ready do not dampen scaling up",
        _METRICS,
        "    believed |= dict.fromkeys(dampens, 0)\n",
        "",
        f"{_CORE}::test_pods_that_cannot_be_judged_dampen_a_change",
    ),
    Bug(
        "a pod that is not measured uses nothing, also where less is asked for",
        _METRICS,
        "full(name) if first < 1.0 else 0",
        "0",
        f"{_CORE}::test_pods_that_cannot_be_judged_dampen_a_change",
    ),
    Bug(
        "a change of size is turned by pods beyond the replicas",
        _METRICS,
        "    return current if turned else replicas\n",
        "    return replicas\n",
        f"{_CORE}::test_a_change_that_more_pods_than_replicas_would_turn_is_not_made",
    ),
    Bug(
        "what a pod used to begin counts as its load",
        _METRICS,
        "sample.at >= since + sample.window_s",
        "sample.at >= since",
        f"{_CORE}::test_cpu_of_a_pod_counts_when_it_has_begun",
    ),
    Bug(
        "a pod that is too busy to be ready is set aside",
        _METRICS,
        "is_unready and began + patience.readiness_s > since",
        "is_unready",
        f"{_CORE}::test_cpu_of_a_pod_counts_when_it_has_begun",
    ),
    Bug(
        "a window for scaling up takes the highest of what was asked",
        _BEHAVIOR,
        "            lowest = min(lowest, replicas)\n",
        "            lowest = max(lowest, replicas)\n",
        f"{_CORE}::test_a_window_for_scaling_up_waits_for_the_lowest_of_what_was_asked",
    ),
    Bug(
        "a policy's period begins anew with each look",
        _BEHAVIOR,
        "    return current - _sum_since(past.ups, since) + _sum_since(past.downs, since)\n",
        "    return current\n",
        f"{_CORE}::test_a_period_bounds_what_is_changed_in_all_of_it",
    ),
    Bug(
        "a pod that was added does not count when others are taken away",
        _BEHAVIOR,
        "    return current - _sum_since(past.ups, since) + _sum_since(past.downs, since)\n",
        "    return current + _sum_since(past.downs, since)\n",
        f"{_CORE}::test_it_goes_as_a_slow_model_goes",
    ),
    Bug(
        "one pod never becomes two by a small share",
        _BEHAVIOR,
        "-(-start * (100 + policy.value) // 100)",
        "start * (100 + policy.value) // 100",
        f"{_CORE}::test_one_pod_becomes_two_by_any_share",
    ),
    Bug(
        "less is asked for although one of the metrics is not known",
        "actors/controllers/hpa_sources.py",
        " or replicas < asked.current)",
        ")",
        f"{_WORLD}::test_one_unknown_metric_prevents_only_that_less_are_asked_for",
    ),
    Bug(
        "a new autoscaler goes on with what an old one of its name remembered",
        "actors/controllers/hpa.py",
        "            self._memories.pop(key, None)\n",
        "",
        f"{_WORLD}::test_nothing_is_remembered_of_an_autoscaler_that_is_gone",
    ),
    Bug(
        "a metrics server that tells nonsense ends the controllers",
        _METRICS,
        "except (KeyError, TypeError, ValueError) as error:",
        "except KeyError as error:",
        f"{_CORE}::test_what_a_metrics_server_tells_wrongly_is_not_believed",
    ),
    Bug(
        "two autoscalers pull one target to and fro",
        "actors/controllers/hpa.py",
        "if not selector or len(rivals) > 1:",
        "if not selector:",
        f"{_WORLD}::test_two_autoscalers_of_one_target_do_nothing",
    ),
    Bug(
        "a change that lost a race waits for the next look",
        "actors/controllers/hpa.py",
        "memory.looked_at if refused else -1e18",
        "memory.looked_at",
        f"{_WORLD}::test_when_somebody_else_was_faster_it_looks_again_at_once",
    ),
    Bug(
        "the answer to an inquiry is the answer for ever",
        "actorkube/kube/actor.py",
        "self._answers.pop(key, None)",
        "self._answers.get(key)",
        f"{_WORLD}::test_it_looks_every_fifteen_seconds_and_writes_nothing_when_nothing_changes",
    ),
    Bug(
        "whoever can send a message learns what pods use",
        "actors/apiserver/pod_metrics.py",
        "self._pipeline.authorizer.permit(caller, Attributes(",
        "repr(Attributes(",
        "tests/apiserver/test_metrics_api.py::test_a_kubelet_learns_by_message_nothing_of_what_others_measured",
    ),
]
