"""managedFields of creates, updates and patches."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import track_update
from actors.apiserver.patch.compare import Comparison
from actors.apiserver.patch.managers import UPDATERS_MAX, manager_of
from actors.apiserver.patch.track import _recorded, recorded
from protocols.rules.times import time_of
from tests.apiserver.patch.objects import CONFIG_MAPS, NOW, PODS, TYPES, config_map
from tests.effort import examples

FIELDS = st.dictionaries(st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}']), st.sampled_from([{}, {"f:a": {}}]))
ENTRIES = st.fixed_dictionaries(
    {
        "manager": st.sampled_from(["me", "you", *map(str, range(UPDATERS_MAX))]),
        "operation": st.sampled_from(["Apply", "Update", "Update", "Delete"]),
        "apiVersion": st.sampled_from(["v1", "v2"]),
        "fieldsType": st.just("FieldsV1"),
        "fieldsV1": FIELDS,
    },
    optional={"time": st.integers(0, 12).map(time_of), "subresource": st.just("status")},
)


def tracked(
    old: Any, new: Any, manager: str = "me", now: float = NOW, subresource: str = "", resource: Any = CONFIG_MAPS
) -> Any:
    return track_update(TYPES, resource, old, new, manager=manager, now=now, subresource=subresource)


def entries(obj: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["metadata"].get("managedFields", [])
    return found


def created(data: dict[str, str]) -> Any:
    obj = config_map(data)
    obj["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "web"}}
    return tracked(None, obj, "maker")


def changed(obj: Any, data: dict[str, str], **metadata: Any) -> Any:
    return {**obj, "data": data, "metadata": {**obj["metadata"], **metadata}}


def test_a_create_owns_everything_but_what_the_server_gives() -> None:
    obj = created({"a": "1"})

    assert entries(obj) == [
        {
            "manager": "maker",
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:data": {".": {}, "f:a": {}},
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            },
        }
    ]


def test_an_update_takes_what_it_changes_and_drops_what_it_removes() -> None:
    obj = created({"a": "1", "b": "1"})

    after = tracked(obj, changed(obj, {"a": "2", "c": "3"}), "editor", NOW + 5)

    maker, editor = entries(after)
    assert maker["fieldsV1"]["f:data"] == {}  # that there is data
    assert (editor["manager"], editor["time"]) == ("editor", "2026-01-01T00:00:05Z")
    assert editor["fieldsV1"] == {"f:data": {"f:a": {}, "f:c": {}}}


def test_a_write_that_changes_nothing_leaves_managed_fields_alone() -> None:
    obj = created({"a": "1"})

    assert tracked(obj, obj, "somebody", NOW + 5) == obj


def test_a_client_that_leaves_managed_fields_out_does_not_remove_them() -> None:
    obj = created({"a": "1"})
    sent = changed(obj, {"a": "1"})
    del sent["metadata"]["managedFields"]

    assert tracked(obj, sent) == obj


def test_an_empty_list_or_entry_resets_managed_fields() -> None:
    obj = created({"a": "1"})

    for reset in ([], [{}]):
        assert entries(tracked(obj, changed(obj, {"a": "1"}, managedFields=reset))) == []
        assert entries(tracked(obj, changed(obj, {"a": "2"}, managedFields=reset))) == []  # until somebody applies


def test_a_client_may_hand_fields_over_but_not_through_a_subresource() -> None:
    obj = created({"a": "1"})
    renamed = [{**entries(obj)[0], "manager": "heir"}]

    assert entries(tracked(obj, changed(obj, {"a": "1"}, managedFields=renamed))) == renamed
    assert entries(tracked(obj, changed(obj, {"a": "1"}, managedFields=renamed), subresource="status")) == entries(obj)


def test_managed_fields_that_cannot_be_read_are_ignored() -> None:
    obj = created({"a": "1"})
    broken = [{**entries(obj)[0], "fieldsV1": {"nonsense": {}}}]

    assert entries(tracked(obj, changed(obj, {"a": "1"}, managedFields=broken))) == entries(obj)


def test_what_nobody_tracked_stays_untracked_until_it_is_applied() -> None:
    old = config_map({"a": "1"})

    assert entries(tracked(old, config_map({"a": "2"}))) == []


def test_a_status_update_is_an_entry_of_its_own() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"nodeName": "n"}}
    obj = tracked(None, pod, "kubelet", resource=PODS)
    running = {**obj, "status": {"phase": "Running"}}

    after = tracked(obj, running, "kubelet", subresource="status", resource=PODS)

    assert [entry.get("subresource", "") for entry in entries(after)] == ["", "status"]
    assert entries(after)[1]["fieldsV1"] == {"f:status": {"f:phase": {}}}


def test_the_history_of_an_object_stays_bounded() -> None:
    obj = created({"a": "0"})

    for number in range(30):
        data = {**obj["data"], f"key-{number}": "1"}
        obj = tracked(obj, changed(obj, data), f"writer-{number}", NOW + number)

    assert len(entries(obj)) == UPDATERS_MAX
    oldest = next(entry for entry in entries(obj) if entry["manager"] == "ancient-changes")
    assert {"f:key-0", "f:key-20"} <= oldest["fieldsV1"]["f:data"].keys()


def test_a_writer_without_a_name_is_unknown() -> None:
    assert entries(tracked(None, config_map({"a": "1"}), ""))[0]["manager"] == "unknown"


@settings(max_examples=examples(200), deadline=None)
@given(st.none() | st.lists(ENTRIES, max_size=13), st.builds(Comparison, FIELDS, FIELDS, FIELDS), st.integers(0, 12))
def test_what_objects_of_other_times_have_is_remembered_with_the_times_of_each(
    before: list[Any] | None, changes: Comparison, now: int
) -> None:
    writer = manager_of("me", "Update", "v1", "")

    for shift in (0, 7, 1_000_000):
        moved = [
            {**entry, "time": "2" + entry["time"][1:]} if shift and "time" in entry else dict(entry)
            for entry in before or ()
        ]
        found = recorded(moved, changes, writer, float(now + shift), CONFIG_MAPS)

        assert found == _recorded(moved, changes, writer, time_of(now + shift), "v1")
