"""Whatever a fuzzer makes of the server's own OpenAPI is answered: with success, or with a Status that says why not.

Schemathesis draws requests, right ones and wrong ones, for every path and verb that the server says it has.
"""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from hypothesis import HealthCheck, Phase, given, settings

from tests.apiserver.rules.minimal import minimal
from tests.cluster.live import LiveCluster

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (pip install actorkube[dev])")

OPERATIONS_MAX = 70  # of one document
EXAMPLES = 2  # of each operation
TIMEOUT_S = 60
LARGE = ("api/v1", "apis/apps/v1")
NO_PAGE = "404 page not found\n"  # as Kubernetes answers where there is no API at all
HOLD = ("watch", "follow")  # answers to these do not end by themselves


class Server:
    def __init__(self, cluster: LiveCluster, directory: Path) -> None:
        config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
        there, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.url = there["server"]
        self.words: dict[str, Any] = {
            "verify": _file(directory / "ca", there["certificate-authority-data"]),
            "cert": (
                _file(directory / "crt", user["client-certificate-data"]),
                _file(directory / "key", user["client-key-data"]),
            ),
            "timeout": TIMEOUT_S,
        }

    def get(self, path: str) -> Any:
        answer = requests.get(self.url + path, **self.words)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def documents(self) -> dict[str, str]:
        """Each group and version's document: `apis/apps/v1` -> its URL."""
        listed = self.get("/openapi/v3")["paths"]
        return {page: entry["serverRelativeURL"] for page, entry in listed.items()}


def _file(path: Path, data: str) -> str:
    path.write_bytes(base64.b64decode(data))
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With an object of each kind, where there may be one."""
    directory = tmp_path_factory.mktemp("fuzzed")
    cluster = LiveCluster(directory, "--nodes", "0").start()
    k = cluster.kubectl()
    manifests = "---\n".join(yaml.safe_dump(obj) for obj in minimal())
    k("create", "-f", "-", "--validate=false", stdin=manifests, check=False)
    yield Server(cluster, directory)
    assert k("get", "--raw", "/readyz") == "ok"
    assert cluster.stop() == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("pages", [*LARGE, "all others"])
def test_every_request_is_answered_with_success_or_a_status(server: Server, pages: str) -> None:
    documents = server.documents()
    chosen = [pages] if pages in LARGE else [page for page in documents if page not in LARGE]

    schemas = [server.get(documents[page]) for page in chosen]  # a definition's may be gone when its turn comes

    codes: Counter[int] = Counter()
    for schema in schemas:
        codes += fuzz(server, schema, OPERATIONS_MAX if pages in LARGE else OPERATIONS_MAX // 6)

    assert codes[200] and codes[404] and codes[400] + codes[422], f"nothing much was tried: {codes}"


def fuzz(server: Server, document: Any, operations_max: int) -> Counter[int]:
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if "/watch/" not in found.ok().path]  # these hold
    random.Random(1).shuffle(operations)
    operations = sorted(operations[:operations_max], key=lambda operation: operation.method.upper() == "DELETE")
    codes: Counter[int] = Counter()
    for operation in operations:
        try_out(server, operation, existing(server, operation.path), codes)
    return codes


def try_out(server: Server, operation: Any, names: list[str], codes: Counter[int]) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def ask(case: Any) -> None:
        if "namespace" in case.path_parameters:
            case.path_parameters["namespace"] = "default"
        if "name" in case.path_parameters and names:
            case.path_parameters["name"] = names[0]
        for held in HOLD:
            case.query.pop(held, None)
        codes[answered(case, server)] += 1

    ask()


def existing(server: Server, path: str) -> list[str]:
    """The names of objects that a path may be about."""
    collection, named, _ = path.partition("/{name}")
    if not named:
        return []
    listed = requests.get(server.url + collection.replace("{namespace}", "default"), **server.words)
    found = listed.json() if listed.status_code == 200 else {}
    return [item["metadata"]["name"] for item in found.get("items") or ()]


def is_served(server: Server, path: str) -> bool:
    """Whether there is such a version of a group: of a definition's there is not when that is deleted."""
    return path.startswith(("/api/", "/apis/")) and bool(
        requests.get(server.url + "/".join(path.split("/")[:4]), **server.words).status_code == 200
    )


def answered(case: Any, server: Server) -> int:
    """Asks, and looks at the form of the answer. One that is dropped or takes too long raises."""
    what = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"
    try:
        answer = case.call(base_url=server.url, **server.words)
    except requests.RequestException as error:
        raise AssertionError(f"no answer to {what}: {error}") from None
    code: int = answer.status_code
    nobody_there = code == 503 and "/proxy" in case.formatted_path  # behind the service, or in the pod
    assert 200 <= code < 300 or 400 <= code < 500 or nobody_there, f"{code} to {what}: {answer.text[:500]}"
    if (code, answer.text) == (404, NO_PAGE):
        assert not is_served(server, case.formatted_path), what
    elif code >= 400 and case.method.upper() != "HEAD":
        assert answer.headers["content-type"][0] == "application/json", f"{code} to {what}: {answer.text[:500]!r}"
        status = answer.json()
        assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", code), what
        assert status["reason"] and status["message"], what
    return code
