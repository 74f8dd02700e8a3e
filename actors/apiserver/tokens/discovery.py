"""How others find out by which key the tokens of service accounts are signed: OpenID Connect Discovery 1.0."""

from __future__ import annotations

from typing import Any

ISSUER = "https://kubernetes.default.svc.cluster.local"
ALGORITHM = "ES256"
DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
KEYS_TYPE = "application/jwk-set+json"


def discovery(address: str) -> dict[str, Any]:
    """Of a server at HOST:PORT."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"https://{address}{KEYS_PATH}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
