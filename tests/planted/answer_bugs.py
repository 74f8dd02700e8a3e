"""Bugs of answers that a real kube-apiserver was seen to give otherwise."""

from __future__ import annotations

from tests.planted.bug import Bug

_ANSWERS = "tests/apiserver/test_kubernetes_answers.py::"
_SURFACE = "tests/apiserver/test_surface_answers.py::"

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
    Bug(
        "an object of a list says of what kind it is",
        "actors/apiserver/rest/render.py",
        "    length = len(heads[0])\n",
        "    length = 1\n",
        _ANSWERS + "test_a_list_says_of_what_kind_its_objects_are_and_they_do_not",
    ),
    Bug(
        "what is allocated belongs to who created the object",
        "actors/apiserver/changes.py",
        "new = allocation.service if sent is None else tracked_like(allocation.service, sent)",
        "new = allocation.service if sent is None else self._tracked(call, None, allocation.service)",
        _ANSWERS + "test_what_is_allocated_belongs_to_nobody",
    ),
    Bug(
        "a mould gives its pods the status that admission made as their creator's",
        "actors/apiserver/moulds.py",
        "pod = tracked_like(pod, sent)",
        "pod = track_update(self._types, resource, None, pod, manager=call.manager, now=own.now)",
        _ANSWERS + "test_what_admission_adds_belongs_to_nobody_however_many_pods_are_alike",
    ),
    Bug(
        "a struct that is always there is owned itself",
        "actors/apiserver/patch/compare.py",
        "    if there or (kind, key) in _ALWAYS_THERE_IN:\n",
        "    if there:\n",
        _ANSWERS + "test_what_is_always_there_is_owned_by_nobody_itself",
    ),
    Bug(
        "what is required is owned itself",
        "actors/apiserver/patch/compare.py",
        "    return [] if divides(required, []) else {} if must_be_map(required) else None\n",
        "    return None\n",
        _ANSWERS + "test_what_is_always_there_is_owned_by_nobody_itself",
    ),
    Bug(
        "who applies what is there already is given a time",
        "actors/apiserver/patch/apply.py",
        "    if changes:  # who applies what is there already has no time\n",
        "    if True:\n",
        _ANSWERS + "test_who_applies_what_is_there_already_has_no_time_and_comes_first",
    ),
    Bug(
        "a system priority class is deleted",
        "actors/apiserver/deletion.py",
        "if resource.group_resource == _PRIORITIES and name_of(obj) in SYSTEM_PRIORITIES:",
        "if False:",
        _ANSWERS + "test_a_system_priority_class_stays",
    ),
    Bug(
        "an autoscaler of the old version has no metrics to show",
        "actors/apiserver/tables/policy.py",
        'obj = to_v2(obj) if obj.get("apiVersion") == "autoscaling/v1" else obj',
        "obj = obj",
        _ANSWERS + "test_an_autoscaler_of_the_old_version_shows_its_metrics",
    ),
    Bug(
        "what a list would cost is asked before its options are looked at",
        "actors/apiserver/rest/flow.py",
        '        limit = max(0, params.number("limit"))\n    except BadRequest:',
        "        limit = params.query().limit\n    except LookupError:",
        _ANSWERS + "test_what_cannot_be_selected_by_is_said",
    ),
    Bug(
        "what lives in a namespace may be asked for without it",
        "actors/apiserver/rest/paths.py",
        "if resource is None or (resource.namespaced and len(rest) > 1):",
        "if resource is None:",
        _SURFACE + "test_what_lives_in_a_namespace_is_not_found_without_it",
    ),
    Bug(
        "a log may end before it begins",
        "actors/apiserver/rest/logs.py",
        "        if params.number(field, 1) < 1:\n",
        "        if params.number(field, 1) < 0:\n",
        _SURFACE + "test_which_logs_cannot_be_asked_for",
    ),
    Bug(
        "an older version is told to those who ask for a newer one",
        "actors/apiserver/custom/version.py",
        '    newer = [each for each in others if priority(each) > priority(version["name"])]\n',
        '    newer = [each for each in others if priority(each) < priority(version["name"])]\n',
        _SURFACE + "test_a_deprecated_version_of_a_definition_is_warned_of",
    ),
    Bug(
        "what scales may be less than nothing",
        "actors/apiserver/custom/version.py",
        "            if isinstance(value, int) and value < 0:\n",
        "            if isinstance(value, int) and value < -1:\n",
        _SURFACE + "test_what_scales_is_no_negative_number",
    ),
    Bug(
        "a watch ends without a bookmark",
        "actors/apiserver/rest/watch.py",
        "bookmark_at = min(loop.time() + _BOOKMARK_EVERY_S, ends_at - _BOOKMARK_BEFORE_END_S)",
        "bookmark_at = loop.time() + _BOOKMARK_EVERY_S",
        _SURFACE + "test_a_watch_ends_with_a_bookmark",
    ),
    Bug(
        "a balancer's address has no mode",
        "actors/apiserver/rules/defaults/services.py",
        '            if ingress.get("ip"):\n',
        '            if ingress.get("hostname"):\n',
        _SURFACE + "test_where_a_balancer_sends_what_it_is_sent_has_a_default",
    ),
]
