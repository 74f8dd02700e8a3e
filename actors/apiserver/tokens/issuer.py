"""Signs and checks the JWTs of service accounts, with one key on the curve P-256; and tells others how to check them.

What a token says, and whether what it is bound to still exists, is decided in claims.py.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm

from actors.apiserver.tokens.discovery import ALGORITHM

TOKEN_BYTES_MAX = 16 * 1024


class Issuer:
    def __init__(self, key_file: Path) -> None:
        key = load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey), f"{key_file} holds no key of an elliptic curve"
        self._key = key
        self._public = key.public_key()
        self._key_id = _key_id(self._public.public_bytes(_DER, _SPKI))

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self._key, ALGORITHM, {"kid": self._key_id})

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this key has signed, whatever they say and whenever they hold; else None."""
        if len(token) > TOKEN_BYTES_MAX or token.count(".") != 2:
            return None
        try:
            return jwt.decode(token, self._public, [ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidTokenError:
            return None

    def keys(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517)."""
        key = ECAlgorithm.to_jwk(self._public, as_dict=True)
        return {"keys": [{"use": "sig", "kty": key["kty"], "kid": self._key_id, "alg": ALGORITHM, **key}]}


_DER, _SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
# Times and audiences are compared with the cluster's clock and the caller's wishes, which the library does not know.
_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False),
}


def _key_id(public_key: bytes) -> str:
    """As Kubernetes names keys: a digest of what others see of them."""
    return base64.urlsafe_b64encode(hashlib.sha256(public_key).digest()).rstrip(b"=").decode()
