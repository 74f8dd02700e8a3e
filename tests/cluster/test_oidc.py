"""Somebody who logged in elsewhere: the cluster believes an OpenID Connect issuer that the command names."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from actors.apiserver.tls import Authority
from tests.cluster.live import LiveCluster
from tests.cluster.test_user_tokens import get

KEY = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its URL, and the file with its CA."""
    authority = Authority(tmp_path / "issuer", time.time())
    issued = authority.server([])
    documents: dict[str, Any] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(documents[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    url = f"https://localhost:{server.server_address[1]}"
    public = {**RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "one", "alg": "RS256"}
    documents["/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/keys"}
    documents["/keys"] = {"keys": [public]}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield url, authority.ca_file
    server.shutdown()
    thread.join(10)
    server.server_close()


def by_options(url: str, ca_file: Path) -> tuple[str, ...]:
    options = ("--oidc-issuer-url", url, "--oidc-client-id", "kubernetes", "--oidc-ca-file", str(ca_file))
    return (*options, "--oidc-groups-claim", "groups", "--oidc-groups-prefix", "oidc:")


def by_file(url: str, ca_file: Path) -> tuple[str, ...]:
    entry = {
        "issuer": {"url": url, "audiences": ["kubernetes"], "certificateAuthority": ca_file.read_text()},
        "claimMappings": {
            "username": {"claim": "sub", "prefix": ""},
            "groups": {"expression": "claims.groups.map(group, 'oidc:' + group)"},
        },
    }
    other = {
        "issuer": {"url": "https://other.example.com", "audiences": ["x"]},
        "claimMappings": entry["claimMappings"],
    }
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    file = ca_file.parent / "authentication.json"
    file.write_text(json.dumps({**head, "jwt": [other, entry]}))
    return "--authentication-config", str(file)


@pytest.mark.parametrize("options", [by_options, by_file])
def test_its_users_may_what_their_groups_may(
    start_cluster: Callable[..., LiveCluster],
    issuer: tuple[str, Path],
    options: Callable[[str, Path], tuple[str, ...]],
) -> None:
    url, ca_file = issuer
    cluster = start_cluster("--nodes", "0", *options(url, ca_file))
    cluster.kubectl()("create", "clusterrolebinding", "team", "--clusterrole=view", "--group=oidc:team")

    def shown(client: str = "kubernetes", seconds: int = 600) -> str:
        claims = {"iss": url, "aud": client, "sub": "jane", "groups": ["team"], "exp": int(time.time()) + seconds}
        return jwt.encode(claims, KEY, "RS256", {"kid": "one"})

    assert get(cluster, "/api/v1/namespaces/default/configmaps", shown()) == 200
    assert get(cluster, "/api/v1/namespaces/default/secrets", shown()) == 403
    assert get(cluster, "/api/v1/namespaces/default/configmaps", shown(client="another")) == 401
    assert get(cluster, "/api/v1/namespaces/default/configmaps", shown(seconds=-1)) == 401
