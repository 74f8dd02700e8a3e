"""AuthenticationConfigurations: several issuers, claims that become users by rules in CEL, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.apiserver.callers import AUTHENTICATED, Caller
from actors.apiserver.tokens.authentication_config import ConfigurationError, parse_authentication, read_authentication
from actors.apiserver.tokens.claims import NotValid
from actors.apiserver.tokens.jwt_claims import JwtConfig
from actors.apiserver.tokens.jwt_issuers import JwtIssuers
from tests.apiserver.rest_client import NOW
from tests.apiserver.tokens.test_oidc import Clock, Key, Quiet, serving

URL = "https://login.example.com"
CLAIMS = {"iss": URL, "aud": "kubernetes", "sub": "7", "exp": NOW + 60}
PLAIN = {"username": {"claim": "sub", "prefix": ""}}


def document(*jwt: Any) -> dict[str, Any]:
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": list(jwt)}


def entry(mappings: Any = None, url: str = URL, **more: Any) -> dict[str, Any]:
    issuer = {"url": url, "audiences": ["kubernetes"], **more.pop("issuer", {})}
    return {"issuer": issuer, "claimMappings": PLAIN if mappings is None else mappings, **more}


def config(*args: Any, **more: Any) -> JwtConfig:
    (found,) = read_authentication(document(entry(*args, **more)))
    return found


@pytest.mark.parametrize(
    ("mappings", "claims", "expected"),
    [
        (PLAIN, {}, Caller("7", (AUTHENTICATED,))),
        ({"username": {"claim": "sub", "prefix": "o:"}}, {}, Caller("o:7", (AUTHENTICATED,))),
        ({"username": {"expression": "'u-' + claims.sub"}}, {}, Caller("u-7", (AUTHENTICATED,))),
        (
            {**PLAIN, "groups": {"claim": "roles", "prefix": "g:"}},
            {"roles": ["a", "b"]},
            Caller("7", ("g:a", "g:b", AUTHENTICATED)),
        ),
        ({**PLAIN, "groups": {"claim": "roles", "prefix": ""}}, {"roles": "a"}, Caller("7", ("a", AUTHENTICATED))),
        ({**PLAIN, "groups": {"claim": "roles", "prefix": ""}}, {}, Caller("7", (AUTHENTICATED,))),
        (
            {**PLAIN, "groups": {"expression": "claims.roles.filter(role, role != 'x').map(role, 'g:' + role)"}},
            {"roles": ["x", "y"]},
            Caller("7", ("g:y", AUTHENTICATED)),
        ),
    ],
)
def test_claims_become_a_user(mappings: Any, claims: Any, expected: Caller) -> None:
    assert config(mappings).caller_of({**CLAIMS, **claims}, NOW) == expected


def test_a_user_has_a_uid_and_more_for_reviews() -> None:
    extra = [
        {"key": "example.org/tenant", "valueExpression": "claims.tenant"},
        {"key": "example.org/none", "valueExpression": "claims.?none.orValue('')"},
    ]

    caller = config({**PLAIN, "uid": {"claim": "id"}, "extra": extra}).caller_of(
        {**CLAIMS, "id": "u1", "tenant": ["t1", "t2"]}, NOW
    )

    assert (caller.uid, caller.extra) == ("u1", (("example.org/tenant", ("t1", "t2")),))


RULED: dict[str, Any] = {
    "claimValidationRules": [
        {"claim": "hd", "requiredValue": "example.com"},
        {"expression": "claims.exp - claims.iat <= 3600", "message": "tokens of an hour at most"},
    ],
    "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "no such names"}],
}


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({}, ""),
        ({"hd": "other.com"}, "the claim hd is not 'example.com'"),
        ({"hd": None}, "the claim hd is not 'example.com'"),
        ({"iat": NOW - 7200}, "tokens of an hour at most"),
        ({"iat": "yesterday"}, "an expression has no value"),
        ({"sub": "system:admin"}, "no such names"),
        ({"sub": ""}, "the username is empty"),
        ({"sub": 7}, "the username is no string"),
        ({"aud": ["another"]}, "for another audience"),
        ({"aud": None}, "for another audience"),
        ({"exp": NOW}, "expired"),
        ({"nbf": NOW + 1}, "nbf"),
        ({"iss": "https://other.example.com"}, "another issuer"),
    ],
)
def test_rules_about_claims_and_users_hold(claims: Any, says: str) -> None:
    whole = {**CLAIMS, "iat": NOW - 60, "hd": "example.com", **claims}
    if not says:
        assert config(**RULED).caller_of(whole, NOW).user == "7"
        return
    with pytest.raises(NotValid, match=says):
        config(**RULED).caller_of(whole, NOW)


@pytest.mark.parametrize("claim", [True, False, None, "true", 1])
def test_a_rule_that_is_not_plainly_true_does_not_hold(claim: object) -> None:
    found = config(claimValidationRules=[{"expression": "claims.good", "message": "good ones only"}])
    claims = {**CLAIMS, "good": claim}

    if claim is True:
        assert found.caller_of(claims, NOW).user == "7"
        return
    with pytest.raises(NotValid, match="good ones only"):
        found.caller_of(claims, NOW)


def test_an_address_that_is_not_verified_is_nobodys() -> None:
    by_claim = config({"username": {"claim": "email", "prefix": ""}})

    assert by_claim.caller_of({**CLAIMS, "email": "a@b.c"}, NOW).user == "a@b.c"
    with pytest.raises(NotValid, match="not verified"):
        by_claim.caller_of({**CLAIMS, "email": "a@b.c", "email_verified": False}, NOW)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "Other"}, "it must be of kind AuthenticationConfiguration"),
        ({"anonymous": {"enabled": False}}, "anonymous: unknown field"),
        ({"jwt": {}}, "jwt: it must be a list"),
        ({"jwt": [entry(), entry()]}, "jwt[1].issuer: Duplicate value"),
        ({"jwt": [entry(url="http://a")]}, "jwt[0].issuer.url: Invalid value: 'http://a': URL scheme must be https"),
        ({"jwt": [entry(url="https://a?b")]}, "must not have a user, a query or a fragment"),
        ({"jwt": [entry(url="")]}, "jwt[0].issuer.url: Required value: URL is required"),
        ({"jwt": [entry(issuer={"audiences": []})]}, "jwt[0].issuer.audiences: Required value"),
        ({"jwt": [entry(issuer={"audiences": ["a", "b"]})]}, "it must be MatchAny for several audiences"),
        ({"jwt": [entry(issuer={"discoveryURL": URL})]}, "discoveryURL must be different from url"),
        (
            {"jwt": [entry(issuer={"certificateAuthority": "x"})]},
            "certificateAuthority: Invalid value: no certificates",
        ),
        ({"jwt": [entry({})]}, "jwt[0].claimMappings.username: Required value: claim or expression is required"),
        ({"jwt": [entry({"username": {"claim": "sub"}})]}, "username.prefix: Required value"),
        (
            {"jwt": [entry({"username": {"claim": "sub", "prefix": "", "expression": "'x'"}})]},
            "username: Invalid value: claim or expression, one of them",
        ),
        ({"jwt": [entry({"username": {"expression": "claims.sub +"}})]}, "compilation failed"),
        ({"jwt": [entry({"username": {"expression": "1"}})]}, "must evaluate to string"),
        ({"jwt": [entry({"username": {"expression": "user.username"}})]}, "compilation failed"),
        ({"jwt": [entry({"username": {"expression": "claims.email"}})]}, "claims.email_verified must be used"),
        ({"jwt": [entry({**PLAIN, "extra": [{"key": "Tenant", "valueExpression": "''"}]})]}, "in a domain of your own"),
        ({"jwt": [entry(claimValidationRules=[{"expression": "'x'"}])]}, "must evaluate to bool"),
        ({"jwt": [entry(claimValidationRules=[{"claim": "a", "message": "b"}])]}, "message can't be set when claim is"),
        ({"jwt": [entry(userValidationRules=[{"message": "b"}])]}, "expression: Required value"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(wrong: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_authentication(yaml.safe_dump({**document(entry()), **wrong}), "auth.yaml")

    assert str(refused.value).startswith("auth.yaml: ") and says in str(refused.value)


def test_a_verified_address_may_be_a_name() -> None:
    rule = {"expression": "claims.email_verified == true", "message": "verify it"}
    found = config({"username": {"expression": "claims.email"}}, claimValidationRules=[rule])

    assert found.caller_of({**CLAIMS, "email": "a@b.c", "email_verified": True}, NOW).user == "a@b.c"
    with pytest.raises(NotValid, match="verify it"):
        found.caller_of({**CLAIMS, "email": "a@b.c", "email_verified": False}, NOW)


async def test_each_issuer_is_believed_for_its_own_tokens_alone(tmp_path: Path) -> None:
    one, two = Key("one"), Key("two")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with serving(tmp_path / "a") as first, serving(tmp_path / "b") as second:
        first.keys, second.keys = [one], [two]
        entries = [
            entry(
                {"username": {"claim": "sub", "prefix": f"{name}:"}},
                each.url,
                issuer={"certificateAuthority": each.ca_file.read_text()},
            )
            for name, each in (("a", first), ("b", second))
        ]
        issuers = JwtIssuers(read_authentication(document(*entries)), Clock(), Quiet())

        tokens = [first.token(one), second.token(two), first.token(two), second.token(one), one.sign(**CLAIMS), "x.y.z"]
        found = []
        for token in tokens:
            await issuers.prepare(token)
            try:
                caller = issuers.find(token)
                found.append(caller.user if caller is not None else "nobody's here")
            except NotValid:
                found.append("refused")

    assert found == ["a:7", "b:7", "refused", "refused", "nobody's here", "nobody's here"]
    assert (first.asked, second.asked) == (1, 1)
