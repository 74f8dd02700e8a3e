"""Values of the store, sealed under keys that have names, and opened again: as kube-apiserver stores them.

A sealed value begins with `k8s:enc:aesgcm:v1:<key name>:`, or `secretbox` in the place of `aesgcm`; then come a nonce
and the ciphertext. AES-GCM (a nonce of 12 bytes) authenticates the key of the store along, so a value that was copied
to another place does not open; secretbox (XSalsa20 and Poly1305, a nonce of 24 bytes) has no way to. The first key
seals, all open: that is how keys are changed. Source: `EncryptionConfiguration` of apiserver.config.k8s.io/v1,
"Encrypting Confidential Data at Rest" of Kubernetes' documentation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from actors.apiserver.keys import CLAIMS

SEALED = b"k8s:enc:"  # no MessagePack of an object begins like this
_AESGCM = b"k8s:enc:aesgcm:v1:"
_SECRETBOX = b"k8s:enc:secretbox:v1:"
_NONCE_BYTES = 12
QUOTAS = "resourcequotas"  # the store compares their values, so they are never sealed


class CannotDecrypt(Exception):
    """A value that no configured key opens. It stays in the store as it is."""

    def __init__(self, key: bytes, why: str) -> None:
        super().__init__(f"{key.decode(errors='replace')} cannot be decrypted: {why}")


class Provider(Protocol):
    """`prefix`: what the values that it sealed begin with; b"" for plain ones."""

    prefix: bytes

    def seal(self, key: bytes, value: bytes) -> bytes: ...

    def open(self, key: bytes, value: bytes) -> bytes:
        """Raises CannotDecrypt."""


class Identity:
    """Leaves values as they are."""

    prefix = b""

    def seal(self, key: bytes, value: bytes) -> bytes:
        return value

    def open(self, key: bytes, value: bytes) -> bytes:
        return value


class AesGcm:
    """`secret` has 16, 24 or 32 bytes. `nonce` must never give the same bytes twice for one key."""

    def __init__(self, name: str, secret: bytes, nonce: Callable[[int], bytes] = os.urandom) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # only who encrypts pays for it

        self.prefix = _AESGCM + name.encode() + b":"
        self._cipher = AESGCM(secret)
        self._nonce = nonce

    def seal(self, key: bytes, value: bytes) -> bytes:
        nonce = self._nonce(_NONCE_BYTES)
        return self.prefix + nonce + self._cipher.encrypt(nonce, value, key)

    def open(self, key: bytes, value: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        start = len(self.prefix)
        nonce, sealed = value[start : start + _NONCE_BYTES], value[start + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, key)
        except (InvalidTag, ValueError):
            raise CannotDecrypt(key, _not_by(self.prefix)) from None


class SecretBox:
    """`secret` has 32 bytes. `nonce` must never give the same bytes twice for one key; random ones never do."""

    def __init__(self, name: str, secret: bytes, nonce: Callable[[int], bytes] = os.urandom) -> None:
        from nacl.secret import SecretBox as Box  # only who encrypts by it pays for it

        self.prefix = _SECRETBOX + name.encode() + b":"
        self._box = Box(secret)
        self._nonce = nonce

    def seal(self, key: bytes, value: bytes) -> bytes:
        return self.prefix + bytes(self._box.encrypt(value, self._nonce(self._box.NONCE_SIZE)))

    def open(self, key: bytes, value: bytes) -> bytes:
        from nacl.exceptions import CryptoError

        try:
            return self._box.decrypt(value[len(self.prefix) :])
        except (CryptoError, ValueError):
            raise CannotDecrypt(key, _not_by(self.prefix)) from None


def _not_by(prefix: bytes) -> str:
    name = prefix.decode().split(":")[4]
    return f"the key named {name} is not the one that sealed it, or it was changed"


class Rule(NamedTuple):
    """`resources` as the configuration names them: "secrets", "deployments.apps", "*.apps", "*.", "*.*"."""

    resources: tuple[str, ...]
    providers: tuple[Provider, ...]

    def is_about(self, plural: str, group: str) -> bool:
        name = f"{plural}.{group}" if group else plural
        return any(each in (name, f"*.{group}", "*.*") for each in self.resources)


class Encryption:
    """What is sealed and opened by the store's key. Without rules everything is plain, and nothing sealed opens."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._providers: dict[bytes, tuple[Provider, ...]] = {}  # by what the keys of a resource begin with
        self._stale: dict[bytes, None] = {}

    def seal(self, key: bytes, value: bytes) -> bytes:
        if not self._rules:
            return value
        return self._of(key)[0].seal(key, value)

    def open(self, key: bytes, value: bytes) -> bytes:
        """Raises CannotDecrypt."""
        if not self._rules and not value.startswith(SEALED):
            return value
        providers = self._of(key)
        for provider in providers:
            if value.startswith(provider.prefix) and (provider.prefix or not value.startswith(SEALED)):
                opened = provider.open(key, value)
                self._note(key, is_stale=provider is not providers[0])
                return opened
        raise CannotDecrypt(key, _why(value))

    def forget(self, key: bytes) -> None:
        """It is gone."""
        self._stale.pop(key, None)

    def is_stale(self, key: bytes) -> bool:
        """Whether what is stored there would be sealed otherwise today: then even an equal object is written anew."""
        return key in self._stale

    def _note(self, key: bytes, *, is_stale: bool) -> None:
        if is_stale:
            self._stale[key] = None
        elif self._stale:
            self._stale.pop(key, None)

    def _of(self, key: bytes) -> tuple[Provider, ...]:
        parts = key.split(b"/", 4)  # /registry/<group or core>/<plural>/<object>
        start = b"/".join(parts[:4])
        found = self._providers.get(start)
        if found is None:
            group, plural = (part.decode() for part in (*parts, b"", b"")[2:4])
            found = self._providers[start] = self._choose(plural, "" if group == "core" else group)
        return found

    def _choose(self, plural: str, group: str) -> tuple[Provider, ...]:
        if group == CLAIMS or (plural, group) == (QUOTAS, ""):
            return (Identity(),)
        chosen = next((rule.providers for rule in self._rules if rule.is_about(plural, group)), None)
        return chosen or (Identity(),)


def _why(value: bytes) -> str:
    if not value.startswith(SEALED):
        return "it is not encrypted, and the configuration has no identity provider that would read it"
    named = value[:100].split(b":")
    provider, key = named[2].decode(errors="replace"), named[4].decode(errors="replace") if len(named) > 5 else "?"
    return f"it was encrypted by {provider} with the key named {key}, which the encryption configuration does not have"
