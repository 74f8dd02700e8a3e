"""Server-side apply: ownership, conflicts and removal, against a model of plain sets."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch import apply_patch, track_update
from actors.apiserver.patch.fields import paths
from actors.apiserver.patch.managers import decode_managers
from protocols.errors import BadRequest, Conflict, Invalid
from tests.apiserver.patch.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NOW,
    PODS,
    SERVICES,
    TYPES,
    config_map,
    containers_of,
    deployment,
    with_containers,
)


def applied(
    current: Any,
    config: Any,
    manager: str = "me",
    resource: Any = DEPLOYMENTS,
    force: bool = False,
    now: float = NOW,
    subresource: str = "",
) -> Any:
    return apply_patch(
        TYPES,
        resource,
        "apply",
        current,
        config,
        manager=manager,
        force=force,
        now=now,
        subresource=subresource,
    )


def updated(current: Any, new: Any, manager: str = "editor", resource: Any = DEPLOYMENTS, now: float = NOW) -> Any:
    kept = {**new, "metadata": {**new["metadata"], "uid": "u"}}
    return track_update(TYPES, resource, current, kept, manager=manager, now=now)


def owners(obj: Any, *steps: str) -> set[str]:
    """The managers that have the path."""
    entries = decode_managers(obj["metadata"].get("managedFields"))
    return {manager.name for manager, own in entries.items() if steps in set(paths(own.fields))}


# -- the model: data entries have values and sets of owners ------------------------------------------------------------


Path = tuple[str, str]


@dataclass
class Model:
    """Entries that have values, and managers that have sets of their parts.

    An entry of a map is its value. An entry of a list is an item and a value: who sets the value of somebody's item has
    the value alone, and an item that nobody applies any more goes with all that is in it.
    """

    parts: tuple[str, ...]
    values: dict[str, str | None] = field(default_factory=dict)
    owners: dict[tuple[str, str], set[Path]] = field(default_factory=dict)

    def apply(self, manager: str, config: dict[str, str], force: bool) -> bool:
        """Whether it happened: without force, it does not when it changes what others have."""
        me = (manager, "Apply")
        changed = self._changed(config)
        others = {who: theirs for who, theirs in self.owners.items() if who != me}
        if not force and any(theirs & changed for theirs in others.values()):
            return False
        self._lose(others, changed)
        dropped = self.owners.get(me, set()) - self._paths(config)
        for key, part in dropped - {path for theirs in others.values() for path in theirs}:
            if part == self.parts[0]:
                del self.values[key]
                self._lose(others, {(key, part) for part in self.parts})
            elif key in self.values:
                self.values[key] = None
        self.values |= config
        self.owners = {**others, me: self._paths(config)}
        return True

    def update(self, manager: str, values: dict[str, str]) -> None:
        changed, removed = self._changed(values), self._paths(self.values) - self._paths(values)
        self._lose(self.owners, changed | removed)
        self.owners.setdefault((manager, "Update"), set()).update(changed)
        self.values = dict(values)

    def owned(self) -> dict[tuple[str, str], set[Path]]:
        return {who: theirs for who, theirs in self.owners.items() if theirs}

    def _paths(self, entries: Mapping[str, str | None]) -> set[Path]:
        return {
            (key, part)
            for key, value in entries.items()
            for part in self.parts
            if part == self.parts[0] or value is not None
        }

    def _changed(self, entries: Mapping[str, str | None]) -> set[Path]:
        different = {(key, self.parts[-1]) for key, value in entries.items() if self.values.get(key) != value}
        return different | (self._paths(entries) - self._paths(self.values))

    @staticmethod
    def _lose(owners: dict[tuple[str, str], set[Path]], lost: set[Path]) -> None:
        for theirs in owners.values():
            theirs -= lost


keys = st.sampled_from(["a", "b", "c"])
values = st.sampled_from(["1", "2"])
configs = st.dictionaries(keys, values, max_size=3)
steps = st.lists(
    st.tuples(st.sampled_from(["apply", "force", "update"]), st.sampled_from(["x", "y", "z"]), configs),
    min_size=1,
    max_size=8,
)


def of_data(entries: dict[str, str]) -> Any:
    return config_map(entries)


def of_env(entries: dict[str, str]) -> Any:
    """The same entries as the environment of a container: items of a list, with a name and a value each."""
    return with_containers({"name": "web", "env": [{"name": key, "value": value} for key, value in entries.items()]})


def data_of(obj: Any) -> dict[str, str]:
    found: dict[str, str] = obj.get("data") or {}
    return found


def env_of(obj: Any) -> dict[str, str | None]:
    template = obj.get("spec", {}).get("template", {}).get("spec", {})
    listed = [item for container in template.get("containers", []) for item in container.get("env", [])]
    return {item["name"]: item.get("value") for item in listed}  # an item may outlive its value


def part_of(path: tuple[str, ...]) -> Path | None:
    """The part of an entry that a path is about, in either form."""
    if path[0] == "f:data" and len(path) == 2:
        return path[1][2:], "value"
    if len(path) > 1 and path[-2] == "f:env":
        return path[-1].split('"')[3], "item"
    if path[-1] == "f:value":
        return path[-2].split('"')[3], "value"
    return None


def owned_parts(obj: Any) -> dict[tuple[str, str], set[Path]]:
    managers = decode_managers(obj["metadata"].get("managedFields"))
    found = {
        (manager.name, manager.operation): {part for path in paths(own.fields) if (part := part_of(path))}
        for manager, own in managers.items()
    }
    return {who: parts for who, parts in found.items() if parts}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resource", "make", "read", "parts"),
    [(CONFIG_MAPS, of_data, data_of, ("value",)), (DEPLOYMENTS, of_env, env_of, ("item", "value"))],
    ids=["map", "list"],
)
def test_appliers_and_updaters_share_an_object_as_the_model_says(
    resource: Any, make: Any, read: Any, parts: tuple[str, ...]
) -> None:
    @settings(max_examples=80, deadline=None)
    @given(steps)
    def holds(history: list[tuple[str, str, dict[str, str]]]) -> None:
        model, obj = Model(parts), updated(None, make({}), "maker", resource)
        for kind, manager, config in history:
            if kind == "update":
                model.update(manager, config)
                obj = updated(obj, make(config) | {"metadata": obj["metadata"]}, manager, resource)
            elif model.apply(manager, config, kind == "force"):
                obj = applied(obj, make(config), manager, resource, force=kind == "force")
            else:
                with pytest.raises(Conflict):
                    applied(obj, make(config), manager, resource)
            assert read(obj) == model.values
            assert owned_parts(obj) == model.owned()

    holds()


# -- what people meet --------------------------------------------------------------------------------------------------


def test_an_apply_creates_what_does_not_exist_and_owns_it() -> None:
    obj = applied(None, deployment(replicas=3))

    assert obj["spec"] == {"replicas": 3}
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "me",
            "operation": "Apply",
            "apiVersion": "apps/v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    ]


def test_applying_the_same_again_changes_nothing_not_even_the_time() -> None:
    config = with_containers({"name": "web", "image": "x", "resources": {"limits": {"cpu": "0.5"}}})
    obj = applied(None, config)
    obj["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "500m"  # as it is stored

    again = applied(obj, {**config, "metadata": {**config["metadata"], "creationTimestamp": None}}, now=NOW + 60)

    assert again == obj


def test_what_is_not_applied_any_more_goes_but_not_what_others_set() -> None:
    first = applied(None, with_containers({"name": "web", "image": "x"}, {"name": "log", "image": "y"}))
    scaled = updated(first, {**first, "spec": {**first["spec"], "replicas": 5}}, "autoscaler")

    obj = applied(scaled, with_containers({"name": "web", "image": "x"}))

    assert [container["name"] for container in containers_of(obj)] == ["web"]
    assert obj["spec"]["replicas"] == 5


def test_a_conflict_names_the_field_and_who_set_it() -> None:
    first = applied(None, deployment(replicas=3), "helm")

    with pytest.raises(Conflict) as refusal:
        applied(first, deployment(replicas=4))

    assert refusal.value.message == 'Apply failed with 1 conflict: conflict with "helm": .spec.replicas'
    assert refusal.value.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "helm"', "field": ".spec.replicas"}
    ]


def test_several_conflicts_are_listed_by_manager() -> None:
    first = applied(None, deployment(replicas=3, paused=False), "helm")
    edited = updated(first, {**first, "spec": {**first["spec"], "minReadySeconds": 5}}, "kubectl-edit")

    with pytest.raises(Conflict) as refusal:
        applied(edited, deployment(replicas=4, paused=True, minReadySeconds=6))

    assert refusal.value.message == (
        'Apply failed with 3 conflicts: conflicts with "helm":\n- .spec.paused\n- .spec.replicas\n'
        'conflicts with "kubectl-edit" using apps/v1:\n- .spec.minReadySeconds'
    )


def test_force_takes_the_field_over() -> None:
    first = applied(None, deployment(replicas=3), "helm")

    obj = applied(first, deployment(replicas=4), force=True)

    assert obj["spec"]["replicas"] == 4
    assert owners(obj, "f:spec", "f:replicas") == {"me"}


def test_who_applies_the_same_value_becomes_an_owner_too_and_the_field_stays_with_the_last() -> None:
    shared = applied(applied(None, deployment(replicas=3), "helm"), deployment(replicas=3))

    left = applied(shared, deployment(), "helm")
    gone = applied(left, deployment())

    assert owners(shared, "f:spec", "f:replicas") == {"helm", "me"}
    assert left["spec"] == {"replicas": 3}
    assert "replicas" not in gone.get("spec", {})


def test_ports_are_told_apart_by_port_and_protocol_and_tcp_is_meant() -> None:
    ports = [{"port": 53, "name": "tcp"}, {"port": 53, "protocol": "UDP", "name": "udp"}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dns"}, "spec": {"ports": ports}}

    obj = applied(None, service, resource=SERVICES)

    assert owners(obj, "f:spec", "f:ports", 'k:{"port":53,"protocol":"TCP"}') == {"me"}
    assert owners(obj, "f:spec", "f:ports", 'k:{"port":53,"protocol":"UDP"}') == {"me"}


def test_an_atomic_list_belongs_to_one_manager_as_a_whole() -> None:
    first = applied(None, with_containers({"name": "web", "args": ["a"]}), "helm")

    with pytest.raises(Conflict, match=r"\.args"):
        applied(first, with_containers({"name": "web", "args": ["a", "b"]}))


def test_the_order_of_the_configuration_wins_among_shared_items() -> None:
    live = applied(None, with_containers({"name": "a"}, {"name": "b"}, {"name": "c"}))

    obj = applied(live, with_containers({"name": "c"}, {"name": "a"}), "other")

    assert [container["name"] for container in containers_of(obj)] == ["b", "c", "a"]


def test_null_removes_a_field_and_conflicts_with_its_owner() -> None:
    first = applied(None, deployment(replicas=3, paused=True), "helm")

    with pytest.raises(Conflict, match=r"\.spec\.paused"):
        applied(first, deployment(paused=None))
    obj = applied(first, deployment(paused=None), force=True)

    assert obj["spec"] == {"replicas": 3}


def test_an_object_that_nobody_tracked_belongs_to_a_manager_of_before() -> None:
    current = deployment(replicas=3)

    with pytest.raises(Conflict, match="before-first-apply"):
        applied(current, deployment(replicas=4))


def test_kubectl_may_take_over_what_it_applied_on_the_client_side() -> None:
    annotation = '{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":3},"metadata":{"name":"web"}}'
    created = deployment(replicas=3)
    created["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": annotation}
    current = updated(None, created, "kubectl-client-side-apply")

    obj = applied(current, deployment(replicas=4), "kubectl")

    assert obj["spec"]["replicas"] == 4
    annotations = obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert '"replicas":4' in annotations
    assert annotations == orjson.dumps(orjson.loads(annotations), option=orjson.OPT_SORT_KEYS).decode() + "\n"
    with pytest.raises(Conflict):
        applied(current, deployment(replicas=4), "helm")


def test_the_status_endpoint_owns_the_status_alone() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"nodeName": "n"}}
    created = applied(None, pod, resource=PODS)

    obj = applied(created, {**pod, "status": {"phase": "Running"}}, "kubelet", PODS, subresource="status")
    ignored = applied(created, {**pod, "status": {"phase": "Running"}}, resource=PODS)

    assert owners(obj, "f:status", "f:phase") == {"kubelet"}
    assert owners(obj, "f:spec", "f:nodeName") == {"me"}
    assert obj["metadata"]["managedFields"][0]["subresource"] == "status"
    assert "status" not in ignored


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (["x"], "not a JSON object"),
        ({"apiVersion": "apps/v1"}, "invalid object type: apps/v1, Kind="),
        ({**deployment(), "apiVersion": "apps/v1beta1"}, "invalid object type: apps/v1beta1, Kind=Deployment"),
        ({**deployment(), "metadata": {"managedFields": []}}, "metadata.managedFields must be nil"),
        (deployment(nonsense=1), r".spec.nonsense: field not declared in schema"),
        (
            {**with_containers({"name": "a", "odd": 1}), "stranger": 1},
            r"""Kind=Deployment\): errors:
  \.spec\.template\.spec\.containers\[name="a"\]\.odd: field not declared in schema
  \.stranger: field not declared in schema""",
        ),
        (with_containers({"name": "a"}, {"name": "a"}), r'\.containers: duplicate entries for key \[name="a"\]'),
        (
            with_containers({"image": "a"}),
            r"containers: element 0: associative list with keys has an element that",
        ),
        (with_containers("a"), "may not have non-map elements"),
        ({**deployment(), "metadata": {"labels": "a"}}, r"\.metadata\.labels: expected map, got 'a'"),
        ({**deployment(), "metadata": "a"}, "the metadata of the patch is not a JSON object"),
    ],
)
def test_a_configuration_that_cannot_be_applied_is_a_bad_request(config: Any, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        applied(None, config)


def test_an_apply_names_its_manager() -> None:
    with pytest.raises(Invalid, match="fieldManager: Required value"):
        applied(None, deployment(), "")


def test_the_arguments_are_not_changed() -> None:
    current = applied(None, with_containers({"name": "web", "env": [{"name": "A", "value": "1"}]}), "helm")
    config = with_containers({"name": "web", "env": [{"name": "B", "value": "2"}]}, {"name": "log"})
    before = copy.deepcopy((current, config))

    applied(current, config, force=True)["spec"]["template"]["spec"]["containers"].clear()

    assert (current, config) == before
