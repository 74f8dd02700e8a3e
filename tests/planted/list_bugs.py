"""Bugs of lists and watches that are answered with what was made for others before."""

from __future__ import annotations

from tests.planted.bug import Bug

_LISTS = "tests/apiserver/test_lists.py"
_KEPT = f"{_LISTS}::test_a_kept_list_is_what_is_selected_now"
_MADE = f"{_LISTS}::test_what_is_made_of_a_long_list_is_of_now_whatever_was_made_before"

LISTS = [
    Bug(
        "API server's kept list still has what is gone",
        "actors/apiserver/lists.py",
        "        elif known and not there:",
        "        elif False:",
        _KEPT,
    ),
    Bug(
        "API server's kept list goes on where a watcher would be told that it is too late",
        "actors/apiserver/lists.py",
        "                self.close()\n        self._watcher = ",
        "                return\n        self._watcher = ",
        _KEPT,
    ),
    Bug(
        "API server's list shows a changed object as it was when it was last compressed",
        "actors/apiserver/lists.py",
        "        run.packed = None\n        at = ",
        "        at = ",
        _MADE,
    ),
    Bug(
        "API server mistakes one list for another of the same resource",
        "actors/apiserver/reads.py",
        "form, call.namespace, query.labels, query.fields)",
        'form, call.namespace, query.labels, "")',
        "tests/apiserver/test_rest.py::test_lists_of_other_selections_are_others",
    ),
    Bug(
        "API server answers a list of now to who asks for one of then",
        "actors/apiserver/reads.py",
        "    whole = not (query.limit or query.token or query.exact)",
        "    whole = not (query.limit or query.token)",
        "tests/apiserver/test_rest.py::test_lists_of_other_selections_are_others",
    ),
    Bug(
        "API server keeps lists that nobody asks for",
        "actors/apiserver/lists.py",
        "        kept = self._lists.pop(asked)\n        kept.close()",
        "        kept = self._lists.pop(asked)",
        f"{_LISTS}::test_lists_that_nobody_asks_for_make_room_and_watch_no_longer",
    ),
    Bug(
        "a long answer loses what is between two of its pieces",
        "actors/apiserver/rest/parts.py",
        "            start = stop",
        "            start = stop + 1",
        f"{_LISTS}::test_a_body_is_the_same_in_pieces",
    ),
    Bug(
        "API server tells the watchers of one namespace what those of another are told",
        "actors/apiserver/cache.py",
        "Taken(selection.namespace, self._position, len(events))",
        'Taken("", self._position, len(events))',
        "tests/apiserver/test_watch_cache.py::test_watchers_share_what_they_are_told_with_those_who_are_told_the_same",
    ),
    Bug(
        "API server tells the watchers of a selection what those of everything are told",
        "actors/apiserver/cache.py",
        "        if not selection.everything:\n            return self._seen_in(events)\n",
        "",
        "tests/apiserver/test_watch_cache.py::test_watchers_share_what_they_are_told_with_those_who_are_told_the_same",
    ),
    Bug(
        "API server tells a watcher in the version that another one asked for",
        "actors/apiserver/rest/watch.py",
        "lines = changes.lines.get(resource.api_version)",
        "lines = next(iter(changes.lines.values()), None)",
        "tests/apiserver/test_rest_watch.py::test_each_watch_is_told_in_its_own_version_what_others_are_told_in_theirs",
    ),
    Bug(
        "API server takes an item's number for the truth value that equals it",
        "actors/apiserver/patch/fields.py",
        "    if all(type(value) is str for _, value in pairs):",
        "    if pairs:",
        "tests/apiserver/test_alike.py::test_steps_are_of_equal_values_only_if_they_are_written_alike",
    ),
    Bug(
        "API server answers with an object at the revision that it replaces",
        "actors/apiserver/item.py",
        """            metadata["resourceVersion"] = str(self.revision)""",
        """            metadata["resourceVersion"] = str(obj["metadata"].get("resourceVersion", self.revision))""",
        "tests/apiserver/test_watch_cache.py::test_an_item_shows_what_it_was_encoded_from_as_it_would_show_itself",
    ),
    Bug(
        "API server looks at what one template's objects have in common once, whatever it was",
        "actors/apiserver/rules/validate/metadata.py",
        "    if not is_sound(_alike, {key: meta[key] for key in _ALIKE if key in meta}):",
        "    if not is_sound(_alike, {}):",
        "tests/apiserver/rules/test_validate_metadata.py::test_bad_metadata_is_refused",
    ),
    Bug(
        "a pod's class leaves its init containers out",
        "actors/apiserver/rules/prepare.py",
        """    for field in ("initContainers", "containers"):
        asks""",
        """    for field in ("containers", "containers"):
        asks""",
        "tests/apiserver/rules/test_prepare.py::test_the_qos_class_follows_from_what_is_asked_for",
    ),
    Bug(
        "API server finds nothing wrong with any part of a pod that can be remembered",
        "actors/apiserver/alike.py",
        "    return encoded is not None and _was_sound(rule, encoded)",
        "    return encoded is not None",
        "tests/apiserver/test_alike.py::test_what_is_wrong_with_a_part_is_said_each_time_and_where_it_is",
    ),
    Bug(
        "API server's kept table says for ever how old an object was",
        "actors/apiserver/rest/render.py",
        "run.packed is None or self._clock() >= run.good_until:",
        "run.packed is None:",
        f"{_LISTS}::test_of_a_kept_table_nothing_is_made_again_before_an_age_changes",
    ),
    Bug(
        "API server's watch shows for ever how old objects were when it began",
        "actors/apiserver/rest/server.py",
        "lambda: context.now, include",
        "lambda now=context.now: now, include",
        "tests/apiserver/test_rest_watch.py::"
        "test_a_row_says_how_old_an_object_is_when_it_is_shown_and_not_when_the_watch_began",
    ),
    Bug(
        "API server's kept table is made anew each time",
        "actors/apiserver/rest/render.py",
        "min([time.changes_at(now) for row in rows for time in row.times], default=math.inf)",
        "now",
        f"{_LISTS}::test_of_a_kept_table_nothing_is_made_again_before_an_age_changes",
    ),
    Bug(
        "API server's kept table has a row of what an object was",
        "actors/apiserver/lists.py",
        "        row = self._rows.pop(key, None)\n",
        "        row = None\n",
        f"{_LISTS}::test_a_kept_table_is_of_now_whatever_was_made_before",
    ),
    Bug(
        "API server says for an hour that something is ten minutes old",
        "actors/apiserver/elapsed.py",
        "(10 * _MINUTE, _MINUTE)",
        "(10 * _MINUTE, _HOUR)",
        "tests/apiserver/tables/test_tables.py::test_the_text_of_an_age_stays_until_it_is_said_to_change",
    ),
    Bug(
        "API server's kept list shows custom objects by a definition that was changed since",
        "actors/apiserver/lists.py",
        "kept.view is not view:",
        "False:",
        "tests/apiserver/custom/test_custom_resources.py::test_a_list_that_is_kept_is_of_the_definition_as_it_is_now",
    ),
    Bug(
        "API server's kept table has as much of each object as the one who asked before wanted",
        "actors/apiserver/rest/render.py",
        'return f"Table {self._include}"',
        'return "Table"',
        "tests/apiserver/custom/test_custom_resources.py::"
        "test_a_table_that_is_kept_has_as_much_of_each_object_as_is_asked_for",
    ),
]
