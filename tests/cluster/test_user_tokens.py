"""Bearer tokens of users, from a file that the command names."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.cluster.live import LiveCluster


def test_a_token_of_the_file_is_its_user(start_cluster: Callable[..., LiveCluster], tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('secret-token,jane,7,"team"\n')
    cluster = start_cluster("--nodes", "0", "--token-auth-file", str(file))
    k = cluster.kubectl()
    k("create", "clusterrolebinding", "team", "--clusterrole=view", "--group=team")

    assert get(cluster, "/api/v1/namespaces/default/configmaps", "secret-token") == 200
    assert get(cluster, "/api/v1/namespaces/default/secrets", "secret-token") == 403
    assert get(cluster, "/api/v1/namespaces/default/configmaps", "other-token") == 401


def get(cluster: LiveCluster, path: str, token: str) -> int:
    server = json.loads(cluster.kubectl()("config", "view", "-o", "json"))["clusters"][0]["cluster"]["server"]
    request = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=cluster.data / "pki" / "ca.crt")
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
