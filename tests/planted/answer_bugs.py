"""Bugs of answers that a real kube-apiserver was seen to give otherwise."""

from __future__ import annotations

from tests.planted.bug import Bug

_ANSWERS = "tests/apiserver/test_kubernetes_answers.py::"

ANSWERS = [
    Bug(
        "what is deleted in all namespaces at once is deleted",
        "actors/apiserver/pipeline.py",
        'if resource.namespaced and not call.namespace and verb not in ("list", "watch"):',
        'if resource.namespaced and not call.namespace and verb not in ("list", "watch", "deletecollection"):',
        _ANSWERS + "test_nothing_is_deleted_in_all_namespaces_at_once",
    ),
    Bug(
        "who reads protobuf alone is refused in JSON",
        "actors/apiserver/rest/server.py",
        'output = Output(negotiate(request.headers.get("Accept", ""), protobuf=True).media_type)',
        'output = Output(negotiate(request.headers.get("Accept", "")).media_type)',
        _ANSWERS + "test_who_reads_one_form_alone_is_refused_in_it",
    ),
    Bug(
        "who is refused is not warned",
        "actors/apiserver/rest/server.py",
        "request[WARNINGS] = [*request.get(WARNINGS, ()), *verbs.warnings]",
        "request[WARNINGS] = [*request.get(WARNINGS, ())]",
        _ANSWERS + "test_who_is_refused_is_warned_as_well",
    ),
    Bug(
        "an event of events.k8s.io is selected by the names that the core gives its fields",
        "actors/apiserver/selectors.py",
        'if seen_as == "events.events.k8s.io":',
        'if seen_as == "events":',
        _ANSWERS + "test_events_are_selected_by_the_names_of_their_version",
    ),
    Bug(
        "the source of an event is its component alone",
        "actors/apiserver/selectors.py",
        '_READ = {"source": ("source.component", "reportingComponent")}',
        '_READ = {"source": ("source.component",)}',
        _ANSWERS + "test_events_are_selected_by_the_names_of_their_version",
    ),
    Bug(
        "a node is selected by its namespace",
        "actors/apiserver/selectors.py",
        "    if group_resource not in _WITHOUT_NAMESPACE:\n",
        "    if True:\n",
        _ANSWERS + "test_what_cannot_be_selected_by_is_said",
    ),
    Bug(
        "the hash of a version in which nothing is kept is told",
        "actors/apiserver/schema/discovery.py",
        "find(resource.storage) or resource",
        "resource",
        _ANSWERS + "test_discovery_tells_in_which_version_a_kind_is_kept",
    ),
]
