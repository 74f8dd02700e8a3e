"""Our API server carries requests out as a real kube-apiserver of the same version.

It runs where ACTORKUBE_KUBE_APISERVER names one, and is skipped elsewhere; what was found here has its tests in
tests/apiserver, and what stays different is in docs/decisions/0105.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.real_kubernetes import needs_apiserver
from tests.cluster.two_servers import Answer, TwoServers, two_servers
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_apiserver, needs_etcd]

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MERGE = "application/merge-patch+json"
POLICIES = ("Orphan", "Foreground", "Background", "Nope", "")
CONTAINERS = [{"name": "c", "image": "i"}]
FIELDS = ("deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "generation")
Request = tuple[Any, ...]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_servers(tmp_path_factory.mktemp("both")) as servers:
        yield servers


def seen(answer: Answer) -> Any:
    """Of an answer: its code, and what a Status says, or how the object ends."""
    body = answer.body if isinstance(answer.body, dict) else {}
    if body.get("kind") == "Status":
        return answer.code, body.get("message"), sorted(body.get("details") or ()), answer.warnings
    metadata = body.get("metadata") or {}
    return answer.code, body.get("kind"), [metadata.get(field) and field for field in FIELDS]


def differ(both: TwoServers, requests: list[Request]) -> dict[str, Any]:
    found = {}
    for request in requests:
        theirs, ours = (seen(answer) for answer in both.ask(*request))
        if theirs != ours:
            found[repr(request)] = (theirs, ours)
    return found


def test_deletions(both: TwoServers) -> None:
    options: list[tuple[str, Any]] = [
        *(("", {"propagationPolicy": policy}) for policy in POLICIES),
        *((f"?propagationPolicy={policy}", None) for policy in POLICIES),
        *((f"?propagationPolicy={policy}&dryRun=All", {}) for policy in POLICIES),
        *(("", {"gracePeriodSeconds": seconds}) for seconds in (0, 5, -1)),
        *((query, None) for query in ("?dryRun=All&dryRun=Nope", "?dryRun=", "?orphanDependents=true", "?uid=")),
        *(("", {"preconditions": {"uid": uid}, "dryRun": ["All"]}) for uid in (None,)),
        ("", {"kind": "Pod", "apiVersion": "v1"}),
        ("", {"gracePeriodSeconds": "x"}),
        ("", {"orphanDependents": True, "propagationPolicy": "Orphan"}),
    ]
    finalizers: tuple[list[str], ...] = ([], ["a/b"], ["a/b", "orphan"], ["foregroundDeletion"])
    for number, (held, (query, body)) in enumerate((held, option) for held in finalizers for option in options):
        name = f"deleted-{number}"
        both.ask("POST", MAPS, {"metadata": {"name": name, "finalizers": held}})
        path = f"{MAPS}/{name}"
        assert (
            differ(both, [("DELETE", path + query, body), ("GET", path), ("POST", MAPS, {"metadata": {"name": name}})])
            == {}
        )


def test_pods_end(both: TwoServers) -> None:
    for number, (spec, seconds) in enumerate(
        (spec, seconds) for spec in ({}, {"nodeName": "n"}) for seconds in (None, 0, 7, -3)
    ):
        name = f"ended-{number}"
        both.ask("POST", PODS, {"metadata": {"name": name}, "spec": {"containers": CONTAINERS, **spec}})
        body = None if seconds is None else {"gracePeriodSeconds": seconds}
        path = f"{PODS}/{name}"
        assert differ(both, [("DELETE", path, body), ("GET", path), ("DELETE", path, {"gracePeriodSeconds": 0})]) == {}


def test_tokens_to_go_on_with(both: TwoServers) -> None:
    tokens = ("x", "!!!", "eyJ2IjoibWV0YS5rOHMuaW8vdjIifQ", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIifQ")

    assert differ(both, [("GET", f"{MAPS}?limit=2&continue={token}") for token in tokens]) == {}


def test_what_cannot_be_connected_to(both: TwoServers) -> None:
    two = [{"name": name, "image": "i"} for name in "ab"]
    both.ask("POST", PODS, {"metadata": {"name": "two"}, "spec": {"containers": two}})
    both.ask("POST", PODS, {"metadata": {"name": "lost"}, "spec": {"containers": CONTAINERS, "nodeName": "nowhere"}})
    both.ask("POST", SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}})
    connected = [("POST", f"{PODS}/two/{what}?command=a{more}")
                 for what in ("exec", "attach") for more in ("", "&container=zz", "&container=a")]  # fmt: skip
    logs = [("GET", f"{PODS}/{name}/log{query}") for name in ("two", "lost", "nobody")
            for query in ("", "?container=zz", "?stream=Stdout", "?tailLines=x", "?sinceTime=abc")]  # fmt: skip
    ports = [("POST", f"{PODS}/two/portforward?ports={ports}") for ports in ("abc", "70000", "80")]
    services = [("GET", f"{SERVICES}/{name}/proxy/") for name in ("web:99", "ftp:web:80", "a:b:c:d", "nobody")]
    posted = [("POST", f"{PODS}/two/{what}", body) for what in ("binding", "eviction")
              for body in ({}, {"metadata": {"name": "b"}})]  # fmt: skip

    assert differ(both, [*connected, *logs, *ports, *services, *posted]) == {}


def test_reviews(both: TwoServers) -> None:
    selectors: list[Any] = [
        {},
        {"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "In", "values": ["b"]}]},
        *({"requirements": [{"key": key, "operator": "In"}]} for key in ("", "a")),
        {"requirements": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
    ]
    about = [{"verb": "list", "resource": "pods", kind: selector}
             for kind in ("fieldSelector", "labelSelector") for selector in selectors]  # fmt: skip

    reviews = [("POST", REVIEWS, {"spec": {"user": "a", "resourceAttributes": each}}) for each in about]

    assert differ(both, reviews) == {}


def test_metadata_that_is_sent(both: TwoServers) -> None:
    both.ask("POST", MAPS, {"metadata": {"name": "sent"}})
    sent = [{"managedFields": []}, {"managedFields": [{}]}, {"deletionTimestamp": None}, {"resourceVersion": "1"}]
    timed = [("GET", f"{MAPS}?timeout={text}") for text in ("abc", "5", "1m1", "1x")]

    assert differ(both, [*(("PATCH", f"{MAPS}/sent", {"metadata": each}, MERGE) for each in sent), *timed]) == {}
