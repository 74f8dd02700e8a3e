"""An EncryptionConfiguration (apiserver.config.k8s.io/v1), as a file has it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from actors.apiserver.encryption.sealing import QUOTAS, AesGcm, Encryption, Identity, Provider, Rule, SecretBox

_API_VERSION = "apiserver.config.k8s.io/v1"
# By a provider's name: what makes it of a key's name and secret, and how many bytes the secret may have.
_SEALING: dict[str, tuple[Callable[[str, bytes], Provider], tuple[int, ...]]] = {
    "aesgcm": (AesGcm, (16, 24, 32)),
    "secretbox": (SecretBox, (32,)),
}


class ConfigurationError(ValueError):
    """What is wrong, with the path of the field; never with a key."""


def parse_configuration(text: str, where: str) -> Encryption:
    """Raises ConfigurationError, with the name of the file."""
    import yaml  # only who encrypts pays for it

    try:
        return read_configuration(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)  # the text around it may be a key
        raise ConfigurationError(f"{where}: not YAML{f', line {mark.line + 1}' if mark else ''}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def read_configuration(document: object) -> Encryption:
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (
        _API_VERSION,
        "EncryptionConfiguration",
    ):
        raise ConfigurationError(f"it must be of kind EncryptionConfiguration, apiVersion {_API_VERSION}")
    entries = _list("resources", document.get("resources"))
    rules = [_rule(f"resources[{index}]", entry) for index, entry in enumerate(entries)]
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        for name in rule.resources:
            if name in seen:
                raise ConfigurationError(f"resources[{index}].resources: Invalid value: {name!r} is named before")
            seen.add(name)
    return Encryption(rules)


def _rule(path: str, entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{path}: it must be a mapping")
    resources = _list(f"{path}.resources", entry.get("resources"))
    if not all(isinstance(name, str) and name and name != "*" for name in resources):
        raise ConfigurationError(f'{path}.resources: names are as "secrets", "deployments.apps", "*.apps" or "*.*"')
    if QUOTAS in resources:
        raise ConfigurationError(f"{path}.resources: Invalid value: {QUOTAS!r}: quotas are not encrypted")
    providers = [
        provider
        for index, each in enumerate(_list(f"{path}.providers", entry.get("providers")))
        for provider in _providers(f"{path}.providers[{index}]", each)
    ]
    prefixes = [provider.prefix for provider in providers]
    if len(set(prefixes)) < len(prefixes):
        raise ConfigurationError(f"{path}.providers: Invalid value: two keys have one name")
    return Rule(tuple(resources), tuple(providers))


def _providers(path: str, entry: object) -> Iterator[Provider]:
    """One for each key."""
    if not isinstance(entry, dict) or len(entry) != 1:
        raise ConfigurationError(f"{path}: it must name one provider")
    ((kind, settings),) = entry.items()
    if kind == "identity":
        yield Identity()
    elif kind in _SEALING:
        settings = settings if isinstance(settings, dict) else {}
        for index, key in enumerate(_list(f"{path}.{kind}.keys", settings.get("keys"))):
            yield _key(f"{path}.{kind}.keys[{index}]", key, *_SEALING[kind])
    else:
        raise ConfigurationError(f"{path}.{kind}: Unsupported value: there are aesgcm, secretbox and identity")


def _key(path: str, key: object, make: Callable[[str, bytes], Provider], sizes: tuple[int, ...]) -> Provider:
    found: Mapping[str, Any] = key if isinstance(key, dict) else {}
    name = found.get("name")
    if not isinstance(name, str) or not name or ":" in name:
        raise ConfigurationError(f"{path}.name: Required value: a key has a name, without colons")
    try:
        secret = base64.b64decode(str(found.get("secret") or ""), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{path}.secret: Invalid value: it is not base64") from None
    if len(secret) not in sizes:
        *others, last = map(str, sizes)
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise ConfigurationError(f"{path}.secret: Invalid value: it has {len(secret)} bytes, and must have {wanted}")
    return make(name, secret)


def _list(path: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ConfigurationError(f"{path}: Required value: it must be a list with something in it")
    return value
