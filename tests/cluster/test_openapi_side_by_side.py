"""A real kube-apiserver and ours say the same of themselves: OpenAPI in both versions, discovery in its forms.

It runs where ACTORKUBE_KUBE_APISERVER names one, and is skipped elsewhere.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.custom.test_published import DEFINITION
from tests.apiserver.custom.widgets import CRD_PATH
from tests.cluster.kubectl import kubectl_binaries
from tests.cluster.real_kubernetes import needs_apiserver
from tests.cluster.two_servers import TwoServers, differences, two_servers
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_apiserver, needs_etcd]

# docs/decisions/0104-openapi.md
_NOT_HERE = ("shardSelector", "ignoreStoreReadErrorWithClusterBreakingPotential")
_ONLY_HERE = ("scheduling.k8s.io/v1alpha2", "metrics.k8s.io")
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_EXPLAINED = (
    *("pods", "services", "deployments", "cronjobs", "customresourcedefinitions", "widgets", "widgets.spec.template"),
    *("resourceclaims", "networkpolicies", "validatingadmissionpolicies", "nothere", "pods.spec.nothere"),
)
_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_servers(tmp_path_factory.mktemp("both")) as servers:
        for side in servers:
            assert side.raw("POST", CRD_PATH, DEFINITION)[0] == 201
            side.wait("/openapi/v3/apis/shop.example.com/v1")
        yield servers


def test_openapi_v2(both: TwoServers) -> None:
    theirs, ours = (_plain(side.raw("GET", "/openapi/v2")[1]) for side in both)

    assert list(differences(theirs, ours))[:20] == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "api",
            "api/v1",
            "apis",
            "apis/apps",
            "apis/apps/v1",
            "apis/batch/v1",
            "apis/networking.k8s.io/v1",
            "version",
        ),
        *("apis/apiextensions.k8s.io/v1", "apis/certificates.k8s.io/v1", "apis/resource.k8s.io/v1", "openid/v1/jwks"),
        *("apis/shop.example.com/v1", "apis/shop.example.com/v1beta1", "apis/authorization.k8s.io/v1"),
    ],
)
def test_openapi_v3(both: TwoServers, name: str) -> None:
    theirs, ours = (_plain(side.raw("GET", f"/openapi/v3/{name}")[1]) for side in both)

    assert list(differences(theirs, ours))[:20] == []


def test_the_index_of_openapi_v3(both: TwoServers) -> None:
    theirs, ours = (side.raw("GET", "/openapi/v3")[1] for side in both)
    names = {name for name in ours["paths"] if not any(only in name for only in _ONLY_HERE)}

    assert names == {*_parsed(theirs)["paths"]}


@pytest.mark.parametrize(
    "accept", ["application/json", "application/yaml", _PROTOBUF, _TABLE, _AGGREGATED, "text/html"]
)
@pytest.mark.parametrize(
    "path",
    [
        *("/api", "/api/", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/apps/v1/", "/apis/nope"),
        *("/apis/shop.example.com", "/apis/shop.example.com/v1", "/api/v2", "/openapi/v2/", "/livez/", "/healthzz"),
        *("/openapi/v3/apis/apps/v1", "/readyz/ping", _MAPS, f"{_MAPS}?watch=true&timeoutSeconds=1"),
    ],
)
def test_who_gets_what_in_which_form(both: TwoServers, path: str, accept: str) -> None:
    theirs, ours = (side.form(path, accept) for side in both)

    assert ours == theirs


@pytest.mark.parametrize(
    "binary", [*kubectl_binaries().values()][:: max(len(kubectl_binaries()) - 1, 1)], ids=lambda path: path.name
)
def test_kubectl_explains(both: TwoServers, binary: Path) -> None:
    """The oldest and the newest: one reads gnostic's protobuf, the other OpenAPI v3."""
    differing = []
    for kind in _EXPLAINED:
        theirs, ours = (side.kubectl.of(binary)("explain", kind, "--recursive", check=False) for side in both)
        if theirs != ours:
            differing += [kind, *difflib.unified_diff(theirs.splitlines(), ours.splitlines(), lineterm="", n=0)]

    assert "\n".join(differing) == ""


def _plain(document: Any) -> Any:
    """Without what explains, and what is known to be elsewhere; parameters stand where they are referred to."""
    document = _parsed(document)
    shared = document.pop("parameters", {})
    document["paths"] = {
        path: _without_words(_spelled_out(item, shared))
        for path, item in document["paths"].items()
        if not any(only in path for only in _ONLY_HERE)
    }
    of = document if "definitions" in document else document["components"]
    key = "definitions" if "definitions" in document else "schemas"
    of[key] = {name: _without_words(each) for name, each in of.get(key, {}).items() if "v1alpha2" not in name}
    if document["info"]["title"] == "Kubernetes CRD Swagger":
        # Of which groups a deletion's options are there is a matter of which were registered.
        of[key]["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"].pop("x-kubernetes-group-version-kind")
    return document


def _spelled_out(value: Any, shared: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        name = str(value.get("$ref", ""))
        if name.startswith("#/parameters/"):
            return shared[name.removeprefix("#/parameters/")]
        spelled = {key: _spelled_out(each, shared) for key, each in value.items()}
        if isinstance(spelled.get("parameters"), list):
            known = [each for each in spelled["parameters"] if each["name"] not in _NOT_HERE]
            spelled["parameters"] = sorted(known, key=lambda each: (each["name"], each["in"]))
        return spelled
    return [_spelled_out(each, shared) for each in value] if isinstance(value, list) else value


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_words(each)
            for key, each in value.items()
            if not (key == "description" and isinstance(each, str))
        }
    return [_without_words(each) for each in value] if isinstance(value, list) else value


def _parsed(document: Any) -> Any:
    """The index comes as text there."""
    return json.loads(document) if isinstance(document, str) else document
