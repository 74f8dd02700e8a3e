"""A cluster's objects are listed in pages, and what the user may not list is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from actorkube.cli.api import Api
from actorkube.cli.cluster_objects import list_cluster, list_pages
from actorkube.cli.errors import CliError
from tests.cli.test_access import write

PODS = [f"pod-{number}" for number in range(7)]
KINDS = {"pods": "Pod", "services": "Service"}
FORBIDDEN = "services is forbidden: User cannot list resource"


class Handler(BaseHTTPRequestHandler):
    """A Kubernetes API server that shows two pods a page, no services, and has no groups of pods."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        first = int(parse_qs(url.query).get("continue", ["0"])[0])
        page = {"items": [{"metadata": {"name": name}} for name in PODS[first : first + 2]], "metadata": {}}
        if first + 2 < len(PODS):
            page["metadata"] = {"continue": str(first + 2)}
        code = {"pods": 200, "podgroups": 404}.get(url.path.rpartition("/")[2], 403)
        status = {"kind": "Status", "message": FORBIDDEN if code == 403 else "not found", "code": code}
        body = json.dumps(page if code == 200 else status).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/behind/a/path"
    with Api(str(write(tmp_path / "config", user={"token": "t"}, server=url))) as found:
        yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_page_is_read(api: Api) -> None:
    assert [item["metadata"]["name"] for item in list_pages(api, "/api/v1/pods")] == PODS


def test_what_may_not_be_listed_is_named_and_the_rest_is_known_by_kind(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list_cluster(api, {"services": "/api/v1/services", "pods": "/api/v1/pods"}, KINDS)

    assert {(each["apiVersion"], each["kind"]) for each in found} == {("v1", "Pod")}
    assert capsys.readouterr().err == f"actorkube: without services, which may matter: {FORBIDDEN}\n"


def test_of_what_a_cluster_does_not_have_nothing_is_said(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    path = "/apis/scheduling.k8s.io/v1alpha2/podgroups"

    assert list_cluster(api, {"podgroups.scheduling.k8s.io": path}, KINDS) == []
    assert capsys.readouterr().err == ""


def test_without_nodes_nothing_can_be_said(api: Api) -> None:
    with pytest.raises(CliError, match=r"services is forbidden: .*; the scheduler's view needs all nodes and pods"):
        list_cluster(api, {"nodes": "/api/v1/nodes"}, {"nodes": "Node"})
