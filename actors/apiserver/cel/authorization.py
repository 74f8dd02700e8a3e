"""`authorizer`: an expression asks whether who made the request may do something else, or whether an account may.

(k8s.io/apiserver/pkg/cel/library/authz.go.) The variable and what its functions give are plain values; whom they stand
for is known to whoever evaluates (`asking`), for as long as that lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from actors.apiserver.access.attributes import Attributes, Decision
from actors.apiserver.rules.names import dns_label, dns_subdomain

# What decides about "" (who made the request), or an account "namespace/name".
Ask = Callable[[str, Attributes], Decision]
Value = dict[str, Any]
_ask: ContextVar[Ask] = ContextVar("who decides for `authorizer`")


@contextmanager
def asking(ask: Ask) -> Iterator[None]:
    token = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(token)


def authorizer(request: Attributes) -> Value:
    """The variable. `request`: what was asked for, its verb left open; it is `authorizer.requestResource`."""
    return {"Authorizer": "", "requestResource": _resource("", request)}


def _resource(account: str, asked: Attributes) -> Value:
    return {"ResourceCheck": {"account": account, **asked._asdict()}}


def _path(authorizer: Value, path: str) -> Value:
    if not path.strip():
        raise ValueError("path must not be empty")
    return {"PathCheck": {"account": authorizer["Authorizer"], **Attributes("", path=path)._asdict()}}


def _group(authorizer: Value, group: str) -> Value:
    return {"GroupCheck": {"account": authorizer["Authorizer"], "group": group}}


def _account(authorizer: Value, namespace: str, name: str) -> Value:
    if next(dns_subdomain(name), None) is not None:
        raise ValueError("Invalid service account name")
    if next(dns_label(namespace), None) is not None:
        raise ValueError("Invalid service account namespace")
    return {"Authorizer": f"{namespace}/{name}"}


def _of_group(check: Value, resource: str) -> Value:
    if not resource.strip():
        raise ValueError("resource must not be empty")
    group = check["GroupCheck"]
    return _resource(group["account"], Attributes("", group["group"], resource))


def _narrowed(field: str) -> Callable[[Value, str], Value]:
    return lambda check, value: {"ResourceCheck": {**check["ResourceCheck"], field: value}}


def _decided(kind: str) -> Callable[[Value, str], Value]:
    def check(check: Value, verb: str) -> Value:
        asked = {**check[kind], "verb": verb}
        decision = _ask.get()(asked.pop("account"), Attributes(**asked))
        return {"Decision": {"allowed": decision.allowed, "reason": decision.reason}}

    return check


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Authorizer.path(string) -> PathCheck": _path,
    "Authorizer.group(string) -> GroupCheck": _group,
    "Authorizer.serviceAccount(string, string) -> Authorizer": _account,
    "GroupCheck.resource(string) -> ResourceCheck": _of_group,
    "ResourceCheck.subresource(string) -> ResourceCheck": _narrowed("subresource"),
    "ResourceCheck.namespace(string) -> ResourceCheck": _narrowed("namespace"),
    "ResourceCheck.name(string) -> ResourceCheck": _narrowed("name"),
    "ResourceCheck.fieldSelector(string) -> ResourceCheck": _narrowed("fields"),
    "ResourceCheck.labelSelector(string) -> ResourceCheck": lambda check, labels: check,  # no authoriser looks at it
    "PathCheck.check(string) -> Decision": _decided("PathCheck"),
    "ResourceCheck.check(string) -> Decision": _decided("ResourceCheck"),
    "Decision.allowed() -> bool": lambda decision: decision["Decision"]["allowed"],
    "Decision.reason() -> string": lambda decision: decision["Decision"]["reason"],
    "Decision.errored() -> bool": lambda decision: False,  # nobody outside is asked
    "Decision.error() -> string": lambda decision: "",
}
