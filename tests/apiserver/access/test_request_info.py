"""What a request asks to do, read from its URL as Kubernetes reads it."""

from __future__ import annotations

import pytest

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.request_info import attributes_of


@pytest.mark.parametrize(
    ("request_line", "asked"),
    [
        ("GET /", Attributes("get", path="/")),
        ("POST /observe", Attributes("post", path="/observe")),
        ("GET /api/v1", Attributes("get", path="/api/v1")),
        ("GET /apis/apps/v1", Attributes("get", path="/apis/apps/v1")),
        ("GET /api/v1/pods", Attributes("list", "", "pods")),
        ("HEAD /api/v1/pods", Attributes("list", "", "pods")),
        ("GET /api/v1/gadgets", Attributes("list", "", "gadgets")),
        ("GET /api/v1/namespaces/a/pods/p", Attributes("get", "", "pods", "", "a", "p")),
        ("GET /api/v1/namespaces/a/pods/p/log", Attributes("get", "", "pods", "log", "a", "p")),
        ("GET /api/v1/namespaces/a/pods/p/proxy/x/y", Attributes("get", "", "pods", "proxy", "a", "p")),
        (
            "PUT /apis/apps/v1/namespaces/a/deployments/d/scale",
            Attributes("update", "apps", "deployments", "scale", "a", "d"),
        ),
        ("POST /api/v1/namespaces/a/pods", Attributes("create", "", "pods", "", "a")),
        ("PATCH /api/v1/nodes/n", Attributes("patch", "", "nodes", "", "", "n")),
        ("DELETE /api/v1/namespaces/a/pods", Attributes("deletecollection", "", "pods", "", "a")),
        ("DELETE /api/v1/namespaces/a/pods/p", Attributes("delete", "", "pods", "", "a", "p")),
        ("GET /api/v1/namespaces/a", Attributes("get", "", "namespaces", "", "a", "a")),
        ("PUT /api/v1/namespaces/a/finalize", Attributes("update", "", "namespaces", "finalize", "a", "a")),
        ("GET /api/v1/namespaces", Attributes("list", "", "namespaces")),
        ("GET /api/v1/pods?watch=true", Attributes("watch", "", "pods")),
        ("GET /api/v1/pods?watch=0", Attributes("list", "", "pods")),
        (
            "GET /api/v1/secrets?fieldSelector=metadata.name=s",
            Attributes("list", "", "secrets", name="s", fields="metadata.name=s"),
        ),
        (
            "GET /api/v1/secrets?watch=1&fieldSelector=metadata.name=s",
            Attributes("watch", "", "secrets", name="s", fields="metadata.name=s"),
        ),
        (
            "GET /api/v1/secrets?fieldSelector=metadata.name!=s",
            Attributes("list", "", "secrets", fields="metadata.name!=s"),
        ),
        ("GET /api/v1/secrets?fieldSelector=,,", Attributes("list", "", "secrets", fields=",,")),
        (
            "DELETE /api/v1/secrets?fieldSelector=metadata.name=s",
            Attributes("deletecollection", "", "secrets", fields="metadata.name=s"),
        ),
        ("GET /api/v1/watch/pods", Attributes("watch", "", "pods")),
        ("GET /api/v1/watch/namespaces/a/pods/p", Attributes("watch", "", "pods", "", "a", "p")),
        ("GET /apis/apps/v1/watch/namespaces/a/deployments", Attributes("watch", "apps", "deployments", "", "a")),
        ("GET /api/v1/watch/namespaces/a", Attributes("watch", "", "namespaces", "", "a", "a")),
        ("POST /api/v1/watch/pods", Attributes("watch", "", "pods")),
        ("GET /api/v1/watch", Attributes("list", "", "watch")),
        ("BREW /api/v1/pods", Attributes("", "", "pods")),
    ],
)
def test_a_request_is_read(request_line: str, asked: Attributes) -> None:
    method, url = request_line.split()
    path, _, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]

    assert attributes_of(method, path, Params({name: value for name, _, value in pairs})) == asked
