"""Our API server answers requests that are about no kind in particular as a real kube-apiserver of the same version.

It runs where ACTORKUBE_KUBE_APISERVER names one, and is skipped elsewhere; what was found here has its tests in
tests/apiserver/test_kubernetes_answers.py, and what stays different is in docs/decisions/0098.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.real_kubernetes import needs_apiserver
from tests.cluster.two_servers import TwoServers, two_servers
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_apiserver, needs_etcd]

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
APPLY, JSON_PATCH = "application/apply-patch+yaml", "application/json-patch+json"
OPERATIONS = ("add", "remove", "replace", "test", "nope")
FIELDS = ("spec.nodeName", "status.phase", "type", "reason", "source", "involvedObject.name", "metadata.namespace")
LISTED = ("/api/v1/pods", "/api/v1/nodes", "/api/v1/events", "/api/v1/services", MAPS, "/apis/batch/v1/jobs")
MATCHES = ("", "Exact", "NotOlderThan", "Zz")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_servers(tmp_path_factory.mktemp("both")) as servers:
        yield servers


def differ(both: TwoServers, requests: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Those requests (method, path, body, content type) that the two answer otherwise."""
    found = {}
    for request in requests:
        theirs, ours = both.ask(*request)
        if theirs != ours:
            found[repr(request)] = (theirs, ours)
    return found


def test_what_is_not_there_and_what_is_not_allowed(both: TwoServers) -> None:
    paths = ("/nope", "/apis/nope", "/api/v2", "/apis/apps/v9", "/api/v1/nope", f"{MAPS}/a", f"{MAPS}/a/b", "/livez/x")
    writes = [(method, path, {}) for method in ("POST", "PUT", "PATCH", "DELETE") for path in ("/api/v1", "/version")]
    writes += [(method, path, {}) for method in ("POST", "DELETE") for path in ("/api/v1/pods", "/api/v1/secrets")]

    assert differ(both, [*(("GET", path) for path in paths), *writes, ("PUT", MAPS, {}), ("DELETE", f"{MAPS}/a")]) == {}


def test_what_can_be_selected_by(both: TwoServers) -> None:
    asked = [("GET", f"{path}?fieldSelector={field}=zz&limit=1") for path in LISTED for field in FIELDS]

    refused = [each for each in asked if both.ours.send(*each).code != 200]
    assert [each for each in asked if both.theirs.send(*each).code != 200] == refused
    assert differ(both, refused) == {}


def test_which_options_of_a_list_go_together(both: TwoServers) -> None:
    queries = [
        f"{MAPS}?resourceVersion={revision}&resourceVersionMatch={match}&limit={limit}"
        for revision in ("", "0")
        for match in MATCHES
        for limit in ("0", "abc", "5")
    ]

    refused = [each for each in queries if both.ours.send("GET", each).code != 200]
    assert [each for each in queries if both.theirs.send("GET", each).code != 200] == refused
    assert differ(both, [("GET", each) for each in refused]) == {}


def test_patches_of_every_type(both: TwoServers) -> None:
    path = f"{MAPS}/patched"
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "patched"}}

    assert (
        differ(
            both,
            [
                ("POST", MAPS, {"metadata": {"name": "patched"}, "data": {"a": "1"}}),
                ("PATCH", path, {"data": {"a": None, "b": "2"}}, MERGE),
                ("PATCH", path, {"data": {"$patch": "replace", "c": "3"}}, STRATEGIC),
                ("PATCH", path, {"metadata": {"finalizers": ["a/b"]}}, STRATEGIC),
                ("PATCH", path, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}}, STRATEGIC),
                ("PATCH", path, [{"op": "add", "path": "/data/d", "value": "4"}], JSON_PATCH),
                ("PATCH", f"{path}?fieldManager=m", {**applied, "data": {"a": "5"}}, APPLY),
                ("PATCH", f"{path}?fieldManager=n", {**applied, "data": {"a": "6"}}, APPLY),
                ("PATCH", f"{path}?fieldManager=n&force=true", {**applied, "data": {"a": "6"}}, APPLY),
                ("PATCH", path, applied, APPLY),
                ("PATCH", f"{path}?fieldManager=n", {**applied, "kind": "Pod"}, APPLY),
                ("PATCH", path, {}, "text/plain"),
                ("PUT", path, {"metadata": {"name": "patched", "resourceVersion": "1"}}),
                ("PUT", path, {"metadata": {"name": "other"}}),
                ("DELETE", path, {"propagationPolicy": "Zz"}),
            ],
        )
        == {}
    )


def test_who_owns_which_fields(both: TwoServers) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    deployment = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    made = {
        "/apis/apps/v1/namespaces/default/deployments": {"metadata": {"name": "owned"}, "spec": deployment},
        "/api/v1/namespaces/default/services": {"metadata": {"name": "owned"}, "spec": {"ports": [{"port": 80}]}},
        "/api/v1/namespaces/default/pods": {"metadata": {"name": "owned"}, "spec": template["spec"]},
        "/apis/batch/v1/namespaces/default/jobs": {
            "metadata": {"name": "owned"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", **template["spec"]}}},
        },
    }

    for path, obj in made.items():
        entries = [side.raw("POST", path, obj)[1]["metadata"]["managedFields"] for side in both]
        theirs, ours = ([(each["manager"], each["fieldsV1"]) for each in side] for side in entries)
        assert ours == theirs


def test_how_json_patches_are_taken(both: TwoServers) -> None:
    """But for why one is refused: ours says more."""
    value, found = {"value": "x/y"}, {}
    ends = ("-1", "-2", "-3", "-4", "-0", "+1", "01", "2", "3", "-", "x")
    steps = [{"op": op, "path": f"/metadata/finalizers/{end}", **value} for op in OPERATIONS for end in ends]
    steps += [{"op": op, "path": path} for op in OPERATIONS for path in ("/data/k", "/data/no", "", "data")]
    for op in ("replace", "test"):
        steps.remove({"op": op, "path": ""})  # without a value: a kube-apiserver hangs up
    steps += [{"op": op, "path": path, "from": f"/metadata/finalizers/{end}"} for op in ("copy", "move")
              for path in ("/metadata/finalizers/-1", "/data/k") for end in ends]  # fmt: skip
    for number, step in enumerate(steps):
        labelled = {"name": f"taken-{number}", "finalizers": ["a/b", "c/d"]}
        both.ask("POST", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": labelled, "data": {"k": "v"}})
        theirs, ours = both.ask("PATCH", f"{MAPS}/taken-{number}", [step], JSON_PATCH)
        if theirs.code != ours.code or (theirs.accepted and theirs != ours):
            found[repr(step)] = (theirs, ours)

    assert found == {}
