"""Our API server says the same as a real kube-apiserver of the same version, to the same requests.

It runs where ACTORKUBE_KUBE_APISERVER names one, and is skipped elsewhere; what was found here has its tests in
tests/apiserver.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.apiserver.schema.resources import by_kind
from actors.apiserver.schema.types import Types
from tests.apiserver.rules.answers import Seen, Updated, Warned, seen, updated, warned
from tests.apiserver.rules.judged import changed
from tests.apiserver.rules.minimal import minimal, minimal_of
from tests.cluster.mutations import mutations
from tests.cluster.real_kubernetes import needs_apiserver
from tests.cluster.two_servers import Answer, Side, TwoServers, differences, path_of, two_servers
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_apiserver, needs_etcd]

# What is different by intent, or by who is asked.
_CLUSTERS_OWN = {
    "CertificateSigningRequest": {"spec.extra", "spec.uid", "spec.username"},  # who asks
    "PersistentVolumeClaim": {"spec.storageClassName"},  # there is a default class here
    "Service": {"spec.clusterIP", "spec.clusterIPs[0]"},  # a real dry-run allocates none
    "Job": {"spec.selector", "spec.template.metadata.labels", "metadata.labels"},  # its uid
}
# Answered at once here, by controllers there; nulls and empty strings that Go writes; finalizers of features.
_NOT_ALIKE = {
    "APIService": {"status.conditions"},
    "CSINode": {"spec.drivers"},
    "CustomResourceDefinition": {"status", "metadata.finalizers"},
    "Event": {"eventTime", "firstTimestamp", "lastTimestamp", "reportingComponent", "reportingInstance", "source"},
    "HorizontalPodAutoscaler": {"status.currentMetrics"},
    "Node": {"status.daemonEndpoints", "status.nodeInfo"},
    "VolumeAttributesClass": {"metadata.finalizers"},
}
# Of groups that are off there, or written in a way that CEL has only here.
_ONLY_HERE = {"MutatingAdmissionPolicy", "PodGroup", "Workload"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_servers(tmp_path_factory.mktemp("both")) as servers:
        yield servers


@pytest.mark.parametrize(
    "obj", [each for each in minimal() if each["kind"] not in _ONLY_HERE], ids=lambda obj: str(obj["kind"])
)
def test_the_least_that_people_write_is_stored_alike(both: TwoServers, obj: dict[str, Any]) -> None:
    theirs, ours = both.create(obj)

    assert (theirs.code, ours.code) == (201, 201)
    assert ours.warnings == theirs.warnings
    excused = _CLUSTERS_OWN.get(obj["kind"], set()) | _NOT_ALIKE.get(obj["kind"], set())
    assert [
        each for each in differences(theirs.body, ours.body) if not any(each.startswith(field) for field in excused)
    ] == []


@pytest.mark.parametrize("each", seen(), ids=str)
def test_the_answer_that_was_seen_is_still_the_one_of_both(both: TwoServers, each: Seen) -> None:
    answers = both.create(changed(minimal_of(each.kind), each.changes))

    for answer in answers:
        assert ("" if answer.code == 201 else answer.body["message"]) == each.answer


# Those that only controllers take away again.
_STAYING = {"Namespace", "CustomResourceDefinition"}


@pytest.mark.parametrize("each", [each for each in updated() if each.kind not in _STAYING], ids=str)
def test_an_update_is_answered_alike(both: TwoServers, each: Updated) -> None:
    obj = changed(minimal_of(each.kind), each.changes)
    path = path_of(obj, obj["metadata"]["name"])
    for side, answer in zip(both, both.create(obj, query=""), strict=True):
        assert answer.code == 201
        if each.status is not None:
            side.send("PATCH", f"{path}/status", each.status, "application/merge-patch+json")

        said = _put(side, path, each)

        side.send("DELETE", f"{path}?gracePeriodSeconds=0")
        side.send("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        assert ("" if said.accepted else said.body["message"]) == each.answer


def _put(side: Side, path: str, each: Updated) -> Answer:
    """Of what is there: the server itself may write, too."""
    while True:
        new = changed(side.raw("GET", path)[1], each.updates)
        said = side.send("PUT", f"{path}/{each.subresource}".rstrip("/") + "?dryRun=All", new)
        if said.code != 409:
            return said


@pytest.mark.parametrize("each", [each for each in warned() if each.updates is None], ids=str)
def test_what_was_warned_of_still_is_by_both(both: TwoServers, each: Warned) -> None:
    for answer in both.create(changed(minimal_of(each.kind), each.changes)):
        assert [
            text.removeprefix('299 - "').removesuffix('"').replace('\\"', '"') for text in answer.warnings
        ] == each.texts


# Of each kind, whatever one field is changed to is accepted by both or by neither.
_ALIKE_IN_ALL = ("ConfigMap", "Lease", "PriorityClass", "Role", "RoleBinding", "ServiceAccount")


@pytest.mark.parametrize("kind", _ALIKE_IN_ALL)
def test_what_one_accepts_of_a_kind_the_other_does(both: TwoServers, kind: str) -> None:
    obj = minimal_of(kind)
    resource = by_kind(obj["apiVersion"], kind)
    assert resource is not None

    unlike = []
    for what, mutated in mutations(obj, Types.load().of(resource)):
        theirs, ours = both.create(mutated)
        if theirs.code != ours.code:
            unlike.append((what, theirs.body, ours.body))

    assert unlike == []
