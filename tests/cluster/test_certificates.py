"""`kubectl certificate`: somebody asks, the administrator says yes or no, and the certificate makes a user."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.live import LiveCluster

PEM = serialization.Encoding.PEM


def test_an_approved_request_makes_a_user(cluster: LiveCluster, tmp_path: Path) -> None:
    k, key = cluster.kubectl(), ec.generate_private_key(ec.SECP256R1())
    name = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "dev"), x509.NameAttribute(NameOID.COMMON_NAME, "jane")]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(name)).sign(key, hashes.SHA256())
    encoded = base64.b64encode(request.public_bytes(PEM)).decode()
    for each in ("wanted", "unwanted"):
        spec = {"request": encoded, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
        head = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
        k("create", "-f", "-", stdin=json.dumps({**head, "metadata": {"name": each}, "spec": spec}))
    assert k("get", "csr", "wanted", "--no-headers").split()[-1] == "Pending"

    k("certificate", "approve", "wanted")
    k("certificate", "deny", "unwanted")
    k("wait", "csr/wanted", "--for=jsonpath={.status.certificate}", "--timeout=60s")

    certificate = base64.b64decode(k("get", "csr", "wanted", "-o", "jsonpath={.status.certificate}"))
    (tmp_path / "jane.crt").write_bytes(certificate)
    (tmp_path / "jane.key").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    config = json.loads(k("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {
        "client-certificate": str(tmp_path / "jane.crt"),
        "client-key": str(tmp_path / "jane.key"),
    }
    (tmp_path / "config").write_text(json.dumps(config))
    whoami = json.loads(k("auth", "whoami", "-o", "json", "--kubeconfig", str(tmp_path / "config")))
    assert whoami["status"]["userInfo"]["username"] == "jane"
    assert whoami["status"]["userInfo"]["groups"] == ["dev", "system:authenticated"]
    assert k("get", "csr", "wanted", "--no-headers").split()[-1] == "Approved,Issued"
    assert k("get", "csr", "unwanted", "--no-headers").split()[-1] == "Denied"
