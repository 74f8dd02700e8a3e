"""Bugs of updates: what may change, what a status may say, and what admission gives again."""

from __future__ import annotations

from tests.planted.bug import Bug

_VALIDATE = "actors/apiserver/rules/validate"
_ANSWERS = "tests/apiserver/rules/test_answers.py::test_an_update_is_answered_as_was_seen"
_SEEN = "tests/apiserver/rules/test_answers.py::test_the_answer_is_the_one_that_was_seen"
_PLUGINS = "tests/apiserver/admission/test_plugins.py"
_DROPPED = "tests/apiserver/schema/test_dropped.py"

UPDATES = [
    Bug(
        "numbers: there is always an end to a number",
        "actors/apiserver/rules/field.py",
        "    if not math.isfinite(value):",
        "    if False:",
        "tests/apiserver/rules/test_go_values.py::test_numbers_are_shown_as_go_shows_them",
    ),
    Bug(
        "values are compared line by line, however many there are",
        "actors/apiserver/rules/go_values.py",
        "    if len(before) + len(after) > LINES_MAX:\n",
        "    if False:\n",
        "tests/apiserver/rules/test_go_values.py::test_what_would_take_long_to_find_is_not_looked_for",
    ),
    Bug(
        "a pod's update that leaves its priority out takes it away",
        "actors/apiserver/admission/priority.py",
        "if spec.get(field) is None and before.get(field) is not None:",
        "if False:",
        f"{_PLUGINS}::test_what_an_update_of_a_pod_leaves_out_of_what_admission_gave_it_is_given_again",
    ),
    Bug(
        "admission does not complete what updates ask for",
        "actors/apiserver/changes.py",
        '                    self._admission.chain.complete(self._attributes(call, "UPDATE", new, old))\n',
        "",
        f"{_PLUGINS}::test_what_an_update_of_a_pod_leaves_out_of_what_admission_gave_it_is_given_again",
    ),
    Bug(
        "pods are scheduled to nodes that nobody has seen ready",
        "actors/apiserver/admission/taint_nodes.py",
        "if not tainted and not _is_ready(node):",
        "if False:",
        f"{_PLUGINS}::test_a_new_node_is_tainted_until_it_is_ready",
    ),
    Bug(
        "a kubelet's node is tainted as it registers",
        "actors/apiserver/admission/taint_nodes.py",
        "if not tainted and not _is_ready(node):",
        "if not tainted:",
        f"{_PLUGINS}::test_a_new_node_is_tainted_until_it_is_ready",
    ),
    Bug(
        "fields of features that are off are kept",
        "actors/apiserver/schema/check.py",
        "        if type_.dropped:\n",
        "        if False:\n",
        f"{_DROPPED}::test_a_field_that_is_off_is_dropped_and_nobody_is_told",
    ),
    Bug(
        "a strict client hears of unknown fields only where there are repeated ones, too",
        "actors/apiserver/schema/strict.py",
        "    return [*fields, *known, *sentences[len(fields) :]]\n",
        "    return [*known]\n",
        "tests/apiserver/test_updating.py::test_a_strict_client_hears_of_all_that_is_wrong",
    ),
    Bug(
        "a resize changes how containers are resized",
        f"{_VALIDATE}/pod_resize.py",
        'if container.get("resizePolicy") != was.get("resizePolicy"):',
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a resize adds a container, and nobody is told that it does not",
        f"{_VALIDATE}/pod_resize.py",
        'yield forbidden(f"spec.{field}", f"{field} may not be added or removed on resize")',
        "pass",
        _ANSWERS,
    ),
    Bug(
        "a resize renames a container, and nobody is told that it does not",
        f"{_VALIDATE}/pod_resize.py",
        'if container.get("name") != was["name"]:',
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "who may write a request's status approves it",
        f"{_VALIDATE}/certificates.py",
        "if len(_of_type(conditions, type)) > len(_of_type(were, type)):",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a signer's name has labels of any length",
        f"{_VALIDATE}/certificates.py",
        "        yield from _labels(domain, names.dns_label)\n",
        "",
        _SEEN,
    ),
    Bug(
        "an object that is there hides what is wrong with one of its name",
        "actors/apiserver/changes.py",
        """        self._admission.chain.complete(self._attributes(call, "CREATE", obj, {}))
        namespace =""",
        """        self._look_for_another(call, obj)
        self._admission.chain.complete(self._attributes(call, "CREATE", obj, {}))
        namespace =""",
        "tests/apiserver/test_updating.py::test_what_is_wrong_with_an_object_is_said_before_there_is_one_of_its_name",
    ),
    Bug(
        "an ephemeral container that is changed is not shown",
        f"{_VALIDATE}/pods.py",
        "may not be changed\\n{how}'",
        "may not be changed\\n'",
        "tests/apiserver/test_subresources.py::test_ephemeral_containers_that_may_not_be_are_refused",
    ),
    Bug(
        "there may be more ready pods than pods",
        f"{_VALIDATE}/counted_status.py",
        'if status.get(name, 0) > status.get("replicas", 0):',
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a set's controller may take the same names again",
        f"{_VALIDATE}/counted_status.py",
        "if was is not None and (count is None or count < was):",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a job ends without having begun",
        f"{_VALIDATE}/job_status.py",
        'and status.get("startTime") is None:',
        "and False:",
        _ANSWERS,
    ),
    Bug(
        "a job that has failed goes on",
        f"{_VALIDATE}/job_status.py",
        "if _has(before, kind) and not _has(status, kind):",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a job's indexes may come in any order",
        f"{_VALIDATE}/job_status.py",
        "if last is not None and last >= index:",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "an index is done and has failed",
        f"{_VALIDATE}/job_status.py",
        "if start <= min(ones[0][1], others[0][1]):",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a condition may be there twice",
        f"{_VALIDATE}/conditions.py",
        """        kind = condition.get("type") or ""
        if kind in seen:
            yield duplicate(f"{field}[{index}].type", kind)
        seen.add(kind)


def named_once""",
        """

def named_once""",
        _ANSWERS,
    ),
    Bug(
        "a pod has two addresses of one family",
        f"{_VALIDATE}/pod_status.py",
        "if sound and (len(listed) > 2 or",
        "if False and (len(listed) > 2 or",
        _ANSWERS,
    ),
    Bug(
        "a pod says of claims that it does not have",
        f"{_VALIDATE}/pod_status.py",
        "if name not in known:",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a Service that has no load balancer is reached at one",
        f"{_VALIDATE}/load_balancers.py",
        "if points and (obj.get",
        "if False and (obj.get",
        _ANSWERS,
    ),
    Bug(
        "a namespace ends that nobody deletes",
        f"{_VALIDATE}/statuses.py",
        "if phase != expected:",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a claim has less than nothing",
        f"{_VALIDATE}/resources.py",
        "    if whole < 0:\n",
        "    if False:\n",
        _ANSWERS,
    ),
    Bug(
        "a node has an address twice",
        f"{_VALIDATE}/node_status.py",
        "if pair in seen:",
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a driver's node gets another name",
        f"{_VALIDATE}/storage_drivers.py",
        'if driver.get("name") in known and _without_allocatable(driver) != known[driver.get("name")]:',
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "where there is room is told of another class",
        f"{_VALIDATE}/storage.py",
        "            yield from unchanged(key, obj.get(key), old.get(key))\n",
        "            pass\n",
        _ANSWERS,
    ),
    Bug(
        "a volume moves to other nodes",
        f"{_VALIDATE}/storage.py",
        'if affinity is not None and affinity != spec.get("nodeAffinity"):',
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "a claim's limits change",
        f"{_VALIDATE}/storage.py",
        "    if allowed != spec:\n",
        "    if False:\n",
        _ANSWERS,
    ),
    Bug(
        "an event is about what is elsewhere",
        f"{_VALIDATE}/events.py",
        'if about != namespace and (about or namespace not in ("", "default")):',
        "if False:",
        _ANSWERS,
    ),
    Bug(
        "values are not shown as Go shows them",
        "actors/apiserver/rules/go_values.py",
        "shown[_name(field.name)] =",
        "shown[field.name] =",
        _ANSWERS,
    ),
    Bug(
        "a suspended job cannot be given other resources",
        f"{_VALIDATE}/jobs.py",
        'pod[key] = [{**container, "resources": {}} for container in pod[key]]',
        "pass",
        _ANSWERS,
    ),
    Bug(
        "a set of services cannot have addresses of the other family",
        f"{_VALIDATE}/service_addresses.py",
        "if len(cidrs) < len(before):",
        "if len(cidrs) != len(before):",
        _ANSWERS,
    ),
    Bug(
        "a counting status that leaves its counts out has none",
        "actors/apiserver/rules/prepare.py",
        '        updated["status"] = {**_FIRST_STATUS[resource.group_resource], **(updated.get("status") or {})}\n',
        "        pass\n",
        "tests/apiserver/rules/test_prepare.py::test_a_status_says_of_what_there_is_none_of",
    ),
    Bug(
        "an older client does not find the address of a pod",
        "actors/apiserver/rules/prepare.py",
        '        return {**status, "podIP": ips[0].get("ip")}\n',
        "        pass\n",
        "tests/apiserver/rules/test_prepare.py::test_a_pod_has_the_first_of_its_addresses_by_itself_too",
    ),
]
