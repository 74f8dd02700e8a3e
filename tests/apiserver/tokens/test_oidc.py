"""Tokens of an OpenID Connect issuer: what they must say, whose they are, and how its keys are asked for."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from actors.apiserver.callers import AUTHENTICATED, Caller
from actors.apiserver.tls import Authority
from actors.apiserver.tokens.claims import NotValid
from actors.apiserver.tokens.oidc import OidcConfig, OidcError, caller_of
from actors.apiserver.tokens.oidc_issuer import FETCH_EVERY_S, KEYS_AGE_MAX_S, OidcIssuer
from tests.apiserver.rest_client import NOW

ISSUER = "https://login.example.com/realm"
CONFIG = OidcConfig(ISSUER, "kubernetes")
CLAIMS = {"iss": ISSUER, "aud": "kubernetes", "sub": "7", "exp": NOW + 60}


# -- what a token must say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "claims", "user", "groups"),
    [
        ({}, {}, f"{ISSUER}#7", ()),
        ({"username_prefix": "oidc:"}, {}, "oidc:7", ()),
        ({"username_prefix": "-"}, {}, "7", ()),
        ({"username_claim": "email"}, {"email": "a@b.c"}, "a@b.c", ()),
        ({"username_claim": "email"}, {"email": "a@b.c", "email_verified": True}, "a@b.c", ()),
        ({"groups_claim": "roles", "groups_prefix": "o:"}, {"roles": ["x", "y"]}, f"{ISSUER}#7", ("o:x", "o:y")),
        ({"groups_claim": "roles"}, {"roles": "x"}, f"{ISSUER}#7", ("x",)),
        ({"groups_claim": "roles"}, {}, f"{ISSUER}#7", ()),
        ({"required_claims": {"hd": "b.c"}}, {"hd": "b.c"}, f"{ISSUER}#7", ()),
        ({}, {"aud": ["other", "kubernetes"], "nbf": NOW}, f"{ISSUER}#7", ()),
    ],
)
def test_its_claims_become_a_user(config: Any, claims: Any, user: str, groups: tuple[str, ...]) -> None:
    found = caller_of({**CLAIMS, **claims}, OidcConfig(ISSUER, "kubernetes", **config), NOW)

    assert found == Caller(user, (*groups, AUTHENTICATED))


@pytest.mark.parametrize(
    ("config", "claims"),
    [
        ({}, {"iss": "https://login.example.com"}),
        ({}, {"aud": "another"}),
        ({}, {"aud": None}),
        ({}, {"exp": NOW}),
        ({}, {"exp": None}),
        ({}, {"exp": True}),
        ({}, {"nbf": NOW + 1}),
        ({}, {"sub": ""}),
        ({}, {"sub": ["7"]}),
        ({"username_claim": "name"}, {}),
        ({"username_claim": "email"}, {"email": "a@b.c", "email_verified": False}),
        ({"username_claim": "email"}, {"email": "a@b.c", "email_verified": "true"}),
        ({"groups_claim": "roles"}, {"roles": [1]}),
        ({"groups_claim": "roles"}, {"roles": {"x": 1}}),
        ({"required_claims": {"hd": "b.c"}}, {}),
    ],
)
def test_what_does_not_hold_is_nobodys(config: Any, claims: Any) -> None:
    with pytest.raises(NotValid):
        caller_of({**CLAIMS, **claims}, OidcConfig(ISSUER, "kubernetes", **config), NOW)


@pytest.mark.parametrize(("issuer", "client"), [("http://a", "c"), ("a", "c"), ("https://a?b", "c"), ("https://a", "")])
def test_options_that_make_no_issuer_are_refused(issuer: str, client: str) -> None:
    with pytest.raises(OidcError):
        OidcConfig(issuer, client).check()


# -- the issuer's keys ------------------------------------------------------------------------------------------------


class Key:
    def __init__(self, name: str) -> None:
        self.name = name
        self.private = ec.generate_private_key(ec.SECP256R1())

    def sign(self, **claims: Any) -> str:
        return jwt.encode(claims, self.private, "ES256", {"kid": self.name})

    def jwk(self) -> dict[str, Any]:
        return {**ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True), "kid": self.name, "use": "sig"}


class Issuer:
    """On loopback, with TLS. `keys` are what it shows; `asked` counts."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self.url = f"https://localhost:{port}"
        self.ca_file = ca_file
        self.says_it_is = self.url
        self.keys: Sequence[Key] = ()
        self.asked = 0
        self.down = False

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.down:
            return web.Response(status=500)
        if request.path == "/keys":
            self.asked += 1
            return web.json_response({"keys": [key.jwk() for key in self.keys]})
        return web.json_response({"issuer": self.says_it_is, "jwks_uri": f"{self.url}/keys"})

    def config(self, **options: Any) -> OidcConfig:
        return OidcConfig(self.url, "kubernetes", ca_file=self.ca_file, **options)

    def token(self, key: Key, **claims: Any) -> str:
        return key.sign(**{**CLAIMS, "iss": self.url, **claims})


class Quiet:
    def info(self, event: str, **fields: Any) -> None:
        return


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Issuer]:
    authority = Authority(directory / "issuer", NOW)
    issued = authority.server([])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = Issuer(listener.getsockname()[1], authority.ca_file)
    runner = web.ServerRunner(web.Server(issuer.answer))
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=context).start()
        yield issuer
    finally:
        await runner.cleanup()


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    async with serving(tmp_path) as here:
        yield here


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


async def user(oidc: OidcIssuer, token: str) -> str:
    """Whose it is; "" where it is no good."""
    await oidc.prepare(token)
    try:
        found = oidc.find(token)
    except NotValid:
        return ""
    return found.user if found is not None else "not its own"


async def test_its_tokens_are_known_by_the_keys_that_it_shows(issuer: Issuer) -> None:
    one, stranger = Key("one"), Key("one")
    issuer.keys = [one]
    oidc = OidcIssuer(issuer.config(username_prefix="-"), Clock(), Quiet())

    assert await user(oidc, issuer.token(one)) == "7"
    assert await user(oidc, issuer.token(stranger)) == ""
    assert await user(oidc, one.sign(**CLAIMS)) == "not its own"
    assert await user(oidc, "no.jwt.here") == "not its own"
    assert issuer.asked == 1


async def test_a_token_cannot_choose_how_it_is_checked(issuer: Issuer) -> None:
    one = Key("one")
    issuer.keys = [one]
    oidc = OidcIssuer(issuer.config(), Clock(), Quiet())
    claims = {**CLAIMS, "iss": issuer.url}

    unsigned = jwt.encode(claims, None, "none", {"kid": "one"})
    with_secret = jwt.encode(claims, "x" * 64, "HS256", {"kid": "one"})

    assert [await user(oidc, token) for token in (unsigned, with_secret)] == ["", ""]


async def test_new_keys_are_asked_for_and_withdrawn_ones_end(issuer: Issuer) -> None:
    old, new = Key("old"), Key("new")
    issuer.keys, clock = [old], Clock()
    oidc = OidcIssuer(issuer.config(username_prefix="-"), clock, Quiet())
    first = issuer.token(old, exp=NOW + 10 * KEYS_AGE_MAX_S)
    assert await user(oidc, first) == "7"

    issuer.keys = [new]
    clock.now += FETCH_EVERY_S
    assert await user(oidc, issuer.token(new)) == "7"
    assert await user(oidc, first) == ""


async def test_old_keys_are_asked_for_again(issuer: Issuer) -> None:
    one = Key("one")
    issuer.keys, clock = [one], Clock()
    oidc = OidcIssuer(issuer.config(username_prefix="-"), clock, Quiet())
    token = issuer.token(one, exp=NOW + 10 * KEYS_AGE_MAX_S)
    assert await user(oidc, token) == "7"

    issuer.keys = []
    clock.now += KEYS_AGE_MAX_S

    assert await user(oidc, token) == ""


async def test_strangers_do_not_make_it_ask_all_the_time(issuer: Issuer) -> None:
    issuer.keys = [Key("one")]
    oidc = OidcIssuer(issuer.config(), Clock(), Quiet())

    for number in range(20):
        assert await user(oidc, issuer.token(Key(f"unknown-{number}"))) == ""

    assert issuer.asked == 1


async def test_when_it_is_down_the_keys_that_are_known_go_on_to_count(issuer: Issuer) -> None:
    one = Key("one")
    issuer.keys, clock = [one], Clock()
    oidc = OidcIssuer(issuer.config(username_prefix="-"), clock, Quiet())
    token = issuer.token(one, exp=NOW + 10 * KEYS_AGE_MAX_S)
    assert await user(oidc, token) == "7"

    issuer.down = True
    clock.now += KEYS_AGE_MAX_S

    assert await user(oidc, token) == "7"


async def test_an_issuer_that_says_it_is_another_is_not_believed(issuer: Issuer) -> None:
    one = Key("one")
    issuer.keys, issuer.says_it_is = [one], "https://another.example.com"

    assert await user(OidcIssuer(issuer.config(), Clock(), Quiet()), issuer.token(one)) == ""
