"""An AuthenticationConfiguration (apiserver.config.k8s.io), as a file has it: whose tokens are believed, and how.

Its rules are those of kube-apiserver: what is wrong is said with the path of the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from actorkube.cel.engine import CompileError, Program
from actors.apiserver.cel.environment import Environment
from actors.apiserver.tokens.jwt_claims import JwtConfig, Mapped, Required

_API_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
_KIND = "AuthenticationConfiguration"
_ISSUERS_MAX = 64
_EXTRA_KEY = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-z0-9_.~%!$&'()*+,;=:@-]+")
_VERIFIED = re.compile(r"claims\.\??email_verified\b")
_ADDRESS = re.compile(r"claims\.\??email\b(?!_)")
# What an expression's type may be; where it is not known before, its value is looked at.
_TEXT, _TRUTH = ("STRING", "DYN"), ("BOOL", "DYN")
_LIST = ("STRING", "LIST<STRING>", "LIST<DYN>", "DYN")


class ConfigurationError(ValueError):
    """What is wrong, with the path of the field."""


def parse_authentication(text: str, where: str) -> tuple[JwtConfig, ...]:
    """Raises ConfigurationError, with the name of the file."""
    import yaml  # only who has such a file pays for it

    try:
        return read_authentication(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigurationError(f"{where}: not YAML{f', line {mark.line + 1}' if mark else ''}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def read_authentication(document: object) -> tuple[JwtConfig, ...]:
    whole = _Part("", document, ("apiVersion", "kind", "jwt"))
    if whole.fields.get("apiVersion") not in _API_VERSIONS or whole.fields.get("kind") != _KIND:
        raise ConfigurationError(f"it must be of kind {_KIND}, apiVersion {_API_VERSIONS[0]}")
    entries = list(whole.parts("jwt", ("issuer", "claimValidationRules", "claimMappings", "userValidationRules")))
    if len(entries) > _ISSUERS_MAX:
        raise ConfigurationError(f"jwt: Too many: {len(entries)}: must have at most {_ISSUERS_MAX} items")
    configs = tuple(map(_issuer, entries))
    for field in ("issuer", "discovery_url"):
        known: set[str] = set()
        for index, config in enumerate(configs):
            url = getattr(config, field)
            if url and url in known:
                raise ConfigurationError(f"jwt[{index}].issuer: Duplicate value: {url!r}")
            known.add(url)
    return configs


class _Part:
    """A mapping of the document, and where it is."""

    def __init__(self, path: str, value: object, known: tuple[str, ...]) -> None:
        self.path = path
        if not isinstance(value, dict):
            raise ConfigurationError(f"{path or 'the document'}: it must be a mapping")
        self.fields: dict[str, Any] = value
        for key in value:
            if key not in known:
                raise ConfigurationError(f"{self.at(str(key))}: unknown field; there are {', '.join(known)}")

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def text(self, key: str) -> str:
        value = self.fields.get(key)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{self.at(key)}: it must be a string")
        return value or ""

    def part(self, key: str, known: tuple[str, ...]) -> _Part | None:
        value = self.fields.get(key)
        return _Part(self.at(key), value, known) if value is not None else None

    def parts(self, key: str, known: tuple[str, ...]) -> Iterator[_Part]:
        value = self.fields.get(key)
        value = [] if value is None else value
        if not isinstance(value, list):
            raise ConfigurationError(f"{self.at(key)}: it must be a list")
        return (_Part(f"{self.at(key)}[{index}]", each, known) for index, each in enumerate(value))

    def wrong(self, key: str, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.at(key)}: {what}")


_ISSUER = ("url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType")
_MAPPINGS = ("username", "groups", "uid", "extra")


def _issuer(entry: _Part) -> JwtConfig:
    issuer = entry.part("issuer", _ISSUER)
    mappings = entry.part("claimMappings", _MAPPINGS)
    if issuer is None or mappings is None:
        raise entry.wrong("issuer" if issuer is None else "claimMappings.username", "Required value")
    claims = Environment({"claims": "map(string, dyn)"})
    username = mappings.part("username", ("claim", "prefix", "expression"))
    if username is None:
        raise mappings.wrong("username", "Required value: claim or expression is required")
    groups = mappings.part("groups", ("claim", "prefix", "expression"))
    uid = mappings.part("uid", ("claim", "expression"))
    config = JwtConfig(
        _url(issuer, "url"),
        _audiences(issuer),
        _mapped(username, claims, _TEXT, prefixed=True),
        _mapped(groups, claims, _LIST, prefixed=True) if groups is not None and groups.fields else None,
        _mapped(uid, claims, _TEXT) if uid is not None and uid.fields else None,
        tuple(_extra(mappings, claims)),
        tuple(_claim_rules(entry, claims)),
        tuple(_user_rules(entry)),
        _url(issuer, "discoveryURL") if issuer.text("discoveryURL") else "",
        _authority(issuer),
    )
    if config.discovery_url == config.issuer:
        raise issuer.wrong("discoveryURL", "Invalid value: discoveryURL must be different from url")
    _check_email(entry, username)
    return config


def _url(issuer: _Part, key: str) -> str:
    url = issuer.text(key)
    if not url:
        raise issuer.wrong(key, "Required value: URL is required")
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.netloc:
        raise issuer.wrong(key, f"Invalid value: {url!r}: URL scheme must be https")
    if parts.username is not None or parts.query or parts.fragment:
        raise issuer.wrong(key, f"Invalid value: {url!r}: URL must not have a user, a query or a fragment")
    return url


def _audiences(issuer: _Part) -> tuple[str, ...]:
    if issuer.text("egressSelectorType"):
        raise issuer.wrong("egressSelectorType", "there are no egress selectors here")
    listed = issuer.fields.get("audiences") or []
    if not isinstance(listed, list) or not listed or not all(isinstance(each, str) and each for each in listed):
        raise issuer.wrong("audiences", "Required value: at least one audience, none of them empty")
    policy = issuer.text("audienceMatchPolicy")
    if policy not in ("", "MatchAny") or (len(listed) > 1 and not policy):
        raise issuer.wrong("audienceMatchPolicy", "Invalid value: it must be MatchAny for several audiences")
    return tuple(listed)


def _authority(issuer: _Part) -> str:
    pem = issuer.text("certificateAuthority")
    if pem:
        import ssl

        try:
            ssl.create_default_context(cadata=pem)
        except (ssl.SSLError, ValueError):
            raise issuer.wrong("certificateAuthority", "Invalid value: no certificates in PEM") from None
    return pem


def _mapped(part: _Part, claims: Environment, results: tuple[str, ...], *, prefixed: bool = False) -> Mapped:
    claim, expression = part.text("claim"), part.text("expression")
    if bool(claim) == bool(expression):
        raise ConfigurationError(f"{part.path}: Invalid value: claim or expression, one of them")
    if expression:
        if prefixed and part.fields.get("prefix") is not None:
            raise part.wrong("prefix", "Invalid value: prefix can't be set when expression is set")
        return Mapped(expression=_compiled(part, "expression", claims, results))
    if prefixed and part.fields.get("prefix") is None:
        raise part.wrong("prefix", 'Required value: prefix is required when claim is set; "" for none')
    return Mapped(claim, part.text("prefix") if prefixed else "")


def _extra(mappings: _Part, claims: Environment) -> Iterator[tuple[str, Program]]:
    known: set[str] = set()
    for part in mappings.parts("extra", ("key", "valueExpression")):
        key = part.text("key")
        if not _EXTRA_KEY.fullmatch(key) or "kubernetes.io" in key.partition("/")[0]:
            raise part.wrong("key", f"Invalid value: {key!r}: a lower-case path in a domain of your own, example.org/x")
        if key in known:
            raise part.wrong("key", f"Duplicate value: {key!r}")
        known.add(key)
        yield key, _compiled(part, "valueExpression", claims, _LIST)


def _claim_rules(entry: _Part, claims: Environment) -> Iterator[Required]:
    for part in entry.parts("claimValidationRules", ("claim", "requiredValue", "expression", "message")):
        claim, expression = part.text("claim"), part.text("expression")
        if bool(claim) == bool(expression):
            raise ConfigurationError(f"{part.path}: Invalid value: claim or expression, one of them")
        other = ("message", "claim") if claim else ("requiredValue", "expression")
        if part.text(other[0]):
            raise part.wrong(other[0], f"Invalid value: {other[0]} can't be set when {other[1]} is set")
        if claim:
            yield Required(claim, part.text("requiredValue"))
        else:
            yield Required(expression=_compiled(part, "expression", claims, _TRUTH), message=part.text("message"))


def _user_rules(entry: _Part) -> Iterator[Required]:
    user = Environment({"user": "map(string, dyn)"})
    for part in entry.parts("userValidationRules", ("expression", "message")):
        yield Required(expression=_compiled(part, "expression", user, _TRUTH), message=part.text("message"))


def _compiled(part: _Part, key: str, environment: Environment, results: tuple[str, ...]) -> Program:
    text = part.text(key)
    if not text:
        raise part.wrong(key, "Required value: an expression")
    try:
        program = environment.compile(text)
    except CompileError as error:
        raise part.wrong(key, f"Invalid value: {text!r}: {error}") from None
    if program.result not in results:
        raise part.wrong(key, f"Invalid value: {text!r}: must evaluate to {results[0].lower()}")
    return program


def _check_email(entry: _Part, username: _Part) -> None:
    """An address that the issuer has not verified may be anybody's."""
    if not _ADDRESS.search(username.text("expression")):
        return
    rules: list[Mapping[str, Any]] = [
        *(entry.fields.get("claimValidationRules") or ()),
        *(entry.fields["claimMappings"].get("extra") or ()),
        username.fields,
    ]
    texts = [str(rule.get(key) or "") for rule in rules for key in ("expression", "valueExpression")]
    if not any(map(_VERIFIED.search, texts)):
        what = "claims.email_verified must be used in an expression where claims.email is the username"
        raise username.wrong("expression", f"Invalid value: {username.text('expression')!r}: {what}")
