"""/statusz and /flagz: which form whose Accept header gets, and from which version on there is any."""

from __future__ import annotations

import json

import pytest
import yaml

from actorkube.kube.zpages import ZPage, ZPages
from protocols.errors import NotAcceptable

STARTED = 1767225600.0  # 2026-01-01
PATHS = ["/", "/api/v1", "/apis", "/livez/ping", "/livez", "/statusz", "/openapi/v2"]


def page(path: str, accept: str = "", version: str = "1.36") -> ZPage | None:
    pages = ZPages("kube-apiserver", version, STARTED, lambda: {"secure-port": "6443", "bind-address": "::1"})
    return pages.find(path, accept, STARTED + 3723.5, PATHS)


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "application/json, */*", "text/*;q=0.5,text/html"])
def test_a_person_reads_text(accept: str) -> None:
    status, flags = page("/statusz", accept), page("/flagz", accept)

    assert status is not None and flags is not None
    assert status.content_type == flags.content_type == "text/plain; charset=utf-8"
    head, *lines = status.body.decode().split("\n\n")[0:2]
    assert head.startswith("\nkube-apiserver statusz\nWarning: This endpoint is not meant to be machine parseable, ")
    assert "Started: Thu Jan  1 00:00:00 UTC 2026\nUp: 1 hr 02 min 03 sec\nGo version: " in lines[0]
    assert "\nEmulation version: 1.36\nPaths: /livez /statusz\n" in lines[0]
    assert flags.body.decode().endswith("only.\n\nbind-address=::1\nsecure-port=6443\n")


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_a_tool_names_the_version_that_it_reads(version: str) -> None:
    status = page("/statusz", f"application/json;v={version};g=config.k8s.io;as=Statusz")
    flags = page("/flagz", f"text/html,application/yaml;as=Flagz;v={version};g=config.k8s.io")

    assert status is not None and flags is not None
    said = json.loads(status.body)
    assert (said["kind"], said["apiVersion"], said["metadata"]) == (
        "Statusz",
        f"config.k8s.io/{version}",
        {"name": "kube-apiserver"},
    )
    assert (said["startTime"], said["uptimeSeconds"]) == ("2026-01-01T00:00:00Z", 3723)
    assert (said["binaryVersion"][:6], said["emulationVersion"], said["paths"]) == (
        "1.36.0",
        "1.36",
        ["/livez", "/statusz"],
    )
    assert yaml.safe_load(flags.body)["flags"] == {"secure-port": "6443", "bind-address": "::1"}


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json;v=v1;g=config.k8s.io;as=Statusz",
        "application/json;v=v1beta1;g=config.k8s.io;as=Flagz",
        "application/vnd.kubernetes.protobuf;v=v1beta1;g=config.k8s.io;as=Statusz",
        "text/plain;v=v1beta1;g=config.k8s.io;as=Statusz",
        "text/html",
    ],
)
def test_what_cannot_be_given_is_not_given_in_another_form(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="only the following media types are accepted: application/json, "):
        page("/statusz", accept)


def test_older_versions_have_no_such_pages() -> None:
    assert page("/statusz", version="1.35") is page("/flagz", version="1.35") is page("/metrics") is None
