"""Bugs of what is warned of: too much, too little, or at the wrong moment."""

from __future__ import annotations

from tests.planted.bug import Bug

_WARN = "actors/apiserver/rules/warn"
_SEEN = "tests/apiserver/rules/test_warned.py::test_what_is_warned_of_is_what_was_seen"
_MOULDS = "tests/apiserver/test_moulds.py"

WARNED = [
    Bug(
        "a variable that continues its former self passes for one that hides it",
        f"{_WARN}/pods.py",
        """ and f"$({title})" not in (variable.get("value") or "")""",
        "",
        _SEEN,
    ),
    Bug(
        "who changes a label is told again of the template",
        f"{_WARN}/kinds.py",
        'return old is None or obj["metadata"].get("generation") != old["metadata"].get("generation")',
        "return True",
        _SEEN,
    ),
    Bug(
        "a pod that is there is warned of again",
        f"{_WARN}/pods.py",
        "    if old is not None:\n        return\n",
        "",
        _SEEN,
    ),
    Bug(
        "two ports of the host are in each other's way",
        f"{_WARN}/ports.py",
        "    if 0 in host_ports:\n",
        "    if True:\n",
        _SEEN,
    ),
    Bug(
        "a file in a directory of the same first letters is in its way",
        f"{_WARN}/paths.py",
        'one.startswith(f"{other}/")',
        "one.startswith(other)",
        _SEEN,
    ),
    Bug(
        "of formats that were there before is warned again",
        f"{_WARN}/definitions.py",
        "        if format_ not in known:\n",
        "        if True:\n",
        _SEEN,
    ),
    Bug(
        "nobody hears what there is to warn of",
        "actors/apiserver/changes.py",
        "            call.warnings += warnings(call.judged, new, old)\n",
        "            pass\n",
        f"{_MOULDS}::test_a_pod_that_was_cast_is_warned_of_as_the_others_of_its_template_are",
    ),
    Bug(
        "a mould keeps quiet",
        "actors/apiserver/moulds.py",
        "            call.warnings += warn_of(resource, pod)\n",
        "",
        f"{_MOULDS}::test_a_pod_that_was_cast_is_warned_of_as_the_others_of_its_template_are",
    ),
    Bug(
        "a pod whose name is no label is cast like the others",
        "actors/apiserver/moulds.py",
        "any(names.dns_label(name))",
        "any(names.dns_subdomain(name))",
        f"{_MOULDS}::test_a_pod_that_was_cast_is_warned_of_as_the_others_of_its_template_are",
    ),
    Bug(
        "anything may be a finalizer",
        "actors/apiserver/rules/validate/metadata.py",
        """        if "/" not in finalizer and""",
        "        if False and",
        "tests/apiserver/rules/test_answers.py::test_the_answer_is_the_one_that_was_seen",
    ),
]
