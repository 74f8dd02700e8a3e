"""What functions say of objects that are still encoded is what they say of the objects, however alike those are."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube import View
from actorkube.kube.alike import KEPT_MAX, Facet, Joined, Reader, looks_at
from actorkube.kube.controller import view_for
from actors.controllers import controllers
from protocols.api import WatchEvent
from protocols.objects import Object, decode_object, encode_object, key_of, labels_of, meta, name_of, uid_of
from tests.effort import examples

VIEW = view_for("pods", [watches for each in controllers() for watches in each.watches if watches.resource == "pods"])


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=fields)


TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"])
OWNER = st.fixed_dictionaries(
    {
        "apiVersion": st.just("apps/v1"),
        "kind": st.just("ReplicaSet"),
        "name": st.just("a"),
        "uid": st.sampled_from("uv"),
    },
    optional={"controller": st.booleans()},
)
VOLUME = st.one_of(
    st.just({"name": "v", "emptyDir": {}}),
    st.just({"name": "own", "ephemeral": {"volumeClaimTemplate": {}}}),
    st.just({"name": "c", "persistentVolumeClaim": {"claimName": "claim"}}),
)
PORT = maybe(name=st.just("http"), protocol=st.sampled_from(["TCP", "UDP"])).map(
    lambda port: {**port, "containerPort": 80}
)
CONTAINER = maybe(ports=st.lists(PORT, max_size=1), restartPolicy=st.just("Always"))
CONDITION = st.fixed_dictionaries(
    {"type": st.sampled_from(["Ready", "PodScheduled"]), "status": st.sampled_from(["True", "False"])},
    optional={"lastTransitionTime": TIMES},
)
METADATA = st.fixed_dictionaries(
    {"name": st.sampled_from("ab"), "namespace": st.sampled_from(["default", "other"]), "uid": st.sampled_from("12")},
    optional={
        "labels": st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
        "annotations": st.dictionaries(
            st.just("controller.kubernetes.io/pod-deletion-cost"), st.sampled_from(["7", "much"])
        ),
        "ownerReferences": st.lists(OWNER, max_size=2),
        "finalizers": st.just(["foregroundDeletion"]),
        "deletionTimestamp": st.none() | TIMES,
        "creationTimestamp": TIMES,
        "managedFields": st.just([{"manager": "a"}]),
    },
)
PODS = st.fixed_dictionaries(
    {"metadata": METADATA},
    optional={
        "spec": maybe(
            nodeName=st.sampled_from(["", "node-1", "node-2"]),
            volumes=st.lists(VOLUME, max_size=2),
            containers=st.lists(CONTAINER, max_size=2),
            initContainers=st.lists(CONTAINER, max_size=1),
            hostname=st.just("h"),
            subdomain=st.just("s"),
            priority=st.integers(0, 2),
        ),
        "status": st.none() | maybe(
            phase=st.sampled_from(["Pending", "Running", "Failed"]),
            conditions=st.lists(CONDITION, max_size=2),
            containerStatuses=st.lists(maybe(restartCount=st.integers(0, 2)), max_size=2),
            podIP=st.just("10.0.0.1"),
            podIPs=st.lists(st.just({"ip": "10.0.0.2"}), max_size=1),
        ),
    },
)  # fmt: skip


@settings(max_examples=examples(200))
@given(st.lists(PODS, min_size=1, max_size=6))
def test_of_each_pod_is_said_what_its_controllers_functions_say_of_it(pods: list[Object]) -> None:
    functions = [*VIEW._index_functions.values(), *VIEW._summary_functions.values()]
    reader = Reader(functions)

    said = [reader.read(key_of(pod), uid_of(pod), encode_object(pod)) for pod in pods]

    assert said == [[function(decode_object(encode_object(pod))) for function in functions] for pod in pods]


def test_a_view_of_pods_looks_at_none_of_them_as_a_whole() -> None:
    assert VIEW._reader is not None


def test_a_function_is_asked_once_for_all_that_are_alike_where_it_looks() -> None:
    asked: list[Object] = []

    def labels(obj: Object) -> dict[str, str]:
        asked.append(obj)
        return labels_of(obj)

    reader = Reader([Facet(labels, ("metadata.labels",))])
    said = [reader.read(name, "", pod(name, app)) for name, app in (("a", "web"), ("b", "web"), ("c", "db"))]

    assert said == [[{"app": "web"}], [{"app": "web"}], [{"app": "db"}]]
    assert asked == [{"metadata": {"labels": {"app": "web"}}}, {"metadata": {"labels": {"app": "db"}}}]


def test_a_function_sees_no_more_than_it_said_it_would() -> None:
    names = looks_at("metadata.labels")(name_of)

    assert Reader([names]).read("a", "", pod("a")) == [""]


def test_what_is_an_objects_own_is_joined_to_what_it_shares() -> None:
    joined = Joined(lambda key, uid, labels: (key, uid, labels["app"]), looks_at("metadata.labels")(labels_of))

    assert Reader([joined]).read("default/a", "u", pod("a")) == [("default/a", "u", "web")]


def test_the_ends_of_fields_are_not_mistaken() -> None:
    """Two fields whose bytes, one after the other, are those of two others."""
    both = looks_at("a", "b")(lambda obj: (obj.get("a"), obj.get("b")))
    reader = Reader([both])

    objects: list[Object] = [{"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": None}, {}]
    assert [reader.read("", "", msgspec.msgpack.encode(obj)) for obj in objects] == [
        [(1, None)], [(None, 1)], [(1, 1)], [(None, None)], [(None, None)],
    ]  # fmt: skip


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    reader = Reader([looks_at("metadata.labels")(labels_of)])

    said = [reader.read("", "", pod("a", str(n))) for n in [*range(3 * KEPT_MAX), 0]]

    assert said[-1] == said[0] == [{"app": "0"}]
    assert len(reader._groups[0]._kept) <= KEPT_MAX


def test_an_object_that_is_made_otherwise_is_decoded_as_a_whole() -> None:
    phase = looks_at("status.phase")(lambda obj: (obj.get("status") or {}).get("phase", ""))
    view = View("pods", summaries={"phase": phase})

    view.apply(WatchEvent("ADDED", encode_object({"metadata": {"name": "a"}, "status": None}), 1), 0.0)

    assert view.summary("phase", "a") == ""


def test_who_looks_at_an_object_of_which_little_was_read_sees_all_of_it() -> None:
    view = View("pods", summaries={"labels": looks_at("metadata.labels")(labels_of)})
    seen: list[Object] = []
    view.on_change(lambda key, old, new: seen.append(new.peek() if new else {}))

    view.apply(WatchEvent("ADDED", pod("a"), 3), 0.0)

    assert [meta(obj)["resourceVersion"] for obj in seen] == ["3"] and labels_of(seen[0]) == {"app": "web"}


def pod(name: str, app: str = "web") -> bytes:
    return encode_object({"metadata": {"name": name, "namespace": "default", "labels": {"app": app}}, "spec": {"x": 1}})
