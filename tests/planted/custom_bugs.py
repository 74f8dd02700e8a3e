"""Bugs of custom resources: definitions, schemas, versions, and what becomes of objects in the end."""

from __future__ import annotations

from tests.planted.bug import Bug

_CUSTOM = "tests/apiserver/custom/test_custom_resources.py"
_STRUCTURAL = "tests/apiserver/custom/test_structural.py"

CUSTOM = [
    Bug(
        "a changed definition is not compiled again",
        "actors/apiserver/custom/served.py",
        "if before is None or before[0] != item.revision:",
        "if before is None:",
        f"{_CUSTOM}::test_a_new_default_is_seen_when_an_old_object_is_read",
    ),
    Bug(
        "an object's JSON outlives the view it was made for",
        "actors/apiserver/item.py",
        "if self._json is None or self._seen_as is not view:",
        "if self._json is None:",
        f"{_CUSTOM}::test_every_version_serves_the_same_objects_as_it_knows_them",
    ),
    Bug(
        "pruning stops at lists",
        "actors/apiserver/custom/structural.py",
        '            _prune(below, item, f"{path}[{index}]", gone)',
        "            pass",
        f"{_STRUCTURAL}::test_what_is_not_specified_goes_and_nothing_else",
    ),
    Bug(
        "a null stays where none may be",
        "actors/apiserver/custom/structural.py",
        "            if below is not None and not below.nullable:",
        "            if False:",
        f"{_STRUCTURAL}::test_defaults_stand_where_nothing_is_said_and_once_is_enough",
    ),
    Bug(
        "an unchanged part is judged again",
        "actors/apiserver/custom/judge.py",
        "    if old is not ABSENT and value == old:",
        "    if old is not ABSENT and value is old:",
        f"{_CUSTOM}::test_what_was_valid_once_does_not_stand_in_the_way",
    ),
    Bug(
        "a definition goes while its objects are still there",
        "actors/apiserver/custom/keeper.py",
        "if not self._cache.of(group_resource).items:",
        "if True:",
        f"{_CUSTOM}::test_a_definition_takes_its_objects_along_and_waits_for_their_finalizers",
    ),
    Bug(
        "two definitions have one name",
        "actors/apiserver/custom/names.py",
        "lost = [name for name in names if name in used and name not in own]",
        "lost: list[str] = []",
        f"{_CUSTOM}::test_who_asks_for_a_taken_name_gets_it_when_it_is_free",
    ),
    Bug(
        "controllers do not see kinds that are defined after their start",
        "actorkube/kube/actor.py",
        "            if resource not in self._views:",
        "            if False:",
        "tests/controllers/test_real_api.py::test_a_namespace_takes_objects_of_defined_kinds_along",
    ),
    Bug(
        "a kind that went is watched no more, whatever comes",
        "actorkube/kube/actor.py",
        "            self._grown.pop(resource).cancel()\n            del self._views[resource]",
        "            self._grown.pop(resource).cancel()",
        "tests/controllers/test_real_api.py::test_a_kind_that_is_defined_anew_is_looked_after_as_before",
    ),
    Bug(
        "a controller acts before it has seen what it has begun to watch",
        "actorkube/kube/actor.py",
        "        self._views.add(view)\n        self._synced = False\n",
        "        self._views.add(view)\n",
        "tests/kube/test_controller_actor.py::test_what_is_watched_later_is_seen_whole_before_the_next_pass",
    ),
]
