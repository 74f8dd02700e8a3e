"""Strategic merge patches: what kubectl sends, and a model in which lists of named items are plain maps."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import apply_patch
from protocols.errors import BadRequest, Invalid
from tests.apiserver.patch.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NOW,
    PODS,
    SERVICES,
    TYPES,
    containers_of,
    deployment,
    with_containers,
)


def patched(current: Any, patch: Any, resource: Any = DEPLOYMENTS) -> Any:
    return apply_patch(TYPES, resource, "strategic", current, patch, manager="me", force=False, now=NOW)


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


# -- the model: named items are maps from their names, and null deletes ------------------------------------------------

words = st.sampled_from(["a", "b", "c", "d"])
env = st.fixed_dictionaries({"name": words}, optional={"value": words})
env_lists = st.lists(env, max_size=4, unique_by=lambda item: item["name"])
items = st.fixed_dictionaries({"name": words}, optional={"image": words, "env": env_lists})
item_lists = st.lists(items, max_size=4, unique_by=lambda item: item["name"])
env_deletions = st.fixed_dictionaries({"name": words, "$patch": st.just("delete")})
patch_envs = st.lists(env | env_deletions, max_size=3, unique_by=lambda item: item["name"])
patch_items = st.fixed_dictionaries({"name": words}, optional={"image": words | st.none(), "env": patch_envs})
item_deletions = st.fixed_dictionaries({"name": words, "$patch": st.just("delete")})
patch_lists = st.lists(patch_items | item_deletions, max_size=4, unique_by=lambda item: item["name"])


def as_maps(listed: list[dict[str, Any]]) -> dict[str, Any]:
    """{name: the rest of the item, with its own lists as maps}; null for an item that is to be deleted."""
    maps: dict[str, Any] = {}
    for item in listed:
        rest = {key: as_maps(value) if key == "env" else value for key, value in item.items()}
        maps[item["name"]] = None if rest.get("$patch") == "delete" else rest
    return maps


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key, {}), value)
        else:
            result[key] = value
    return result


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(item_lists, patch_lists)
def test_merged_lists_are_maps_from_their_keys(current: Any, patch: Any) -> None:
    before = copy.deepcopy((current, patch))

    result = containers_of(patched(with_containers(*current), with_containers(*patch)))

    assert as_maps(result) == merged(as_maps(current), as_maps(patch))
    assert (current, patch) == before


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(item_lists, patch_lists)
def test_patched_items_stand_as_the_patch_says_and_the_others_keep_their_order(current: Any, patch: Any) -> None:
    result = names(containers_of(patched(with_containers(*current), with_containers(*patch))))

    kept = [item["name"] for item in patch if "$patch" not in item]
    assert [name for name in result if name in kept] == kept
    others = [name for name in names(current) if name in result and name not in kept]
    assert [name for name in result if name not in kept] == others


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(item_lists, st.permutations(["a", "b", "c", "d"]), st.integers(0, 4))
def test_set_element_order_orders_what_it_names(current: Any, order: list[str], count: int) -> None:
    order = order[:count]
    directive = {"$setElementOrder/containers": [{"name": name} for name in order]}

    result = names(containers_of(patched(with_containers(*current), deployment(template={"spec": directive}))))

    assert sorted(result) == sorted(names(current))
    assert [name for name in result if name in order] == [name for name in order if name in result]
    unordered = [name for name in names(current) if name not in order]
    assert [name for name in result if name not in order] == unordered


# -- what kubectl sends ------------------------------------------------------------------------------------------------


def test_set_image_changes_one_container_and_keeps_the_rest() -> None:
    current = with_containers({"name": "web", "image": "nginx:1", "args": ["-v"]}, {"name": "log", "image": "log"})
    order = [{"name": "web"}, {"name": "log"}]
    change = {"$setElementOrder/containers": order, "containers": [{"name": "web", "image": "nginx:2"}]}

    result = patched(current, {"spec": {"template": {"spec": change}}})

    assert containers_of(result) == [
        {"name": "web", "image": "nginx:2", "args": ["-v"]},
        {"name": "log", "image": "log"},
    ]


def test_an_atomic_list_is_replaced() -> None:
    current = with_containers({"name": "web", "args": ["a", "b"]})

    result = patched(current, with_containers({"name": "web", "args": ["c"]}))

    assert containers_of(result) == [{"name": "web", "args": ["c"]}]


def test_retain_keys_drops_the_other_alternative() -> None:
    current = deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})

    result = patched(current, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})

    assert result["spec"]["strategy"] == {"type": "Recreate"}


def test_retain_keys_must_retain_what_the_patch_sets() -> None:
    with pytest.raises(Invalid):
        patched(deployment(strategy={}), {"spec": {"strategy": {"$retainKeys": [], "type": "Recreate"}}})


def test_a_volume_changes_its_kind_with_retain_keys() -> None:
    current = with_containers(volumes=[{"name": "data", "emptyDir": {}}])
    change = {"name": "data", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/data"}}

    result = patched(current, with_containers(volumes=[change]))

    assert result["spec"]["template"]["spec"]["volumes"] == [{"name": "data", "hostPath": {"path": "/data"}}]


def test_scalars_are_added_to_a_merged_list_and_deleted_from_it() -> None:
    current = {"metadata": {"finalizers": ["a", "b", "c"]}}
    patch = {"$deleteFromPrimitiveList/finalizers": ["b"], "finalizers": ["d", "a"]}

    result = patched(current, {"metadata": patch})

    assert sorted(result["metadata"]["finalizers"]) == ["a", "c", "d"]


def test_ports_of_a_service_merge_by_port_alone() -> None:
    current = {"spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "http"}, {"port": 53, "protocol": "TCP"}]}}

    result = patched(current, {"spec": {"ports": [{"port": 53, "protocol": "UDP"}]}}, SERVICES)

    assert result["spec"]["ports"] == [
        {"port": 80, "protocol": "TCP", "name": "http"},
        {"port": 53, "protocol": "UDP"},
    ]


def test_replace_in_a_list_replaces_all_of_it() -> None:
    current = with_containers({"name": "web"}, {"name": "log"})

    result = patched(current, with_containers({"name": "new", "image": "x"}, {"$patch": "replace"}))

    assert containers_of(result) == [{"name": "new", "image": "x"}]


@pytest.mark.parametrize(
    ("directive", "left"), [("replace", {"b": "2"}), ("delete", {}), ("merge", {"a": "1", "b": "2"})]
)
def test_a_directive_says_what_happens_to_a_map(directive: str, left: dict[str, str]) -> None:
    current = {"metadata": {"labels": {"a": "1"}}}

    result = patched(current, {"metadata": {"labels": {"$patch": directive, "b": "2"}}})

    assert result["metadata"]["labels"] == left


def test_null_removes_and_new_maps_come_without_nulls_and_directives() -> None:
    current = deployment(replicas=3)
    template = {
        "spec": {"$setElementOrder/containers": [{"name": "web"}], "containers": [{"name": "web", "image": None}]}
    }

    result = patched(current, {"spec": {"replicas": None, "template": template, "strategy": {"$retainKeys": ["type"]}}})

    assert result["spec"] == {"template": {"spec": {"containers": [{"name": "web"}]}}, "strategy": {}}


def test_a_node_is_tainted_by_key_and_conditions_merge_by_type() -> None:
    current = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Up"}, {"type": "Other"}]}}

    result = patched(current, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, PODS)

    ready = {"type": "Ready", "status": "False", "reason": "Up"}
    assert result["status"]["conditions"] == [ready, {"type": "Other"}]


@pytest.mark.parametrize(
    "change",
    [
        {"containers": [{"image": "no name"}]},
        {"containers": [{"name": "web", "$patch": "nonsense"}]},
        {"containers": ["web"]},
        {"$setElementOrder/containers": "web"},
        {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a"}, {"name": "b"}]},
        {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]},
        {"$deleteFromPrimitiveList/containers": "web"},
        {"$patch": "nonsense"},
        {"containers": [{"name": {"a": 1}}]},
    ],
)
def test_a_patch_that_cannot_be_read_is_a_bad_request(change: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        patched(with_containers({"name": "web"}), {"spec": {"template": {"spec": change}}})


def test_lists_without_keys_in_kinds_without_structure_are_replaced() -> None:
    result = patched({"data": {"a": "1"}}, {"data": {"b": "2"}, "extra": [1]}, CONFIG_MAPS)

    assert result == {"data": {"a": "1", "b": "2"}, "extra": [1]}


def test_an_item_without_its_key_is_shown_as_go_shows_it() -> None:
    item = {"image": "x", "ports": [{"containerPort": 80}], "stdin": True, "tty": None}

    with pytest.raises(BadRequest) as refused:
        patched(with_containers({"name": "a", "image": "x"}), {"spec": {"template": {"spec": {"containers": [item]}}}})

    shown = "map[image:x ports:[map[containerPort:80]] stdin:true tty:<nil>]"
    assert str(refused.value) == f"map: {shown} does not contain declared merge key: name"
