"""What a request is about, as far as it matters for whether it is allowed; and how it is refused."""

from __future__ import annotations

from typing import NamedTuple

from actors.apiserver.callers import Caller
from protocols.errors import Forbidden
from protocols.rules.selectors import InvalidSelector, parse_field_selector

# What kube-apiserver makes of characters that a browser might take for HTML.
_SANITIZED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Attributes(NamedTuple):
    """A verb on a resource; or on a `path`, which is no resource's: then all else is empty.

    A namespace itself lies in the namespace of its own name, as Kubernetes sees it. `fields`: the field selector of a
    list or watch.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    fields: str = ""

    @property
    def what(self) -> str:
        """The resource as rules name it: pods, pods/log."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(NamedTuple):
    allowed: bool
    reason: str = ""


def refusal(caller: Caller, asked: Attributes, reason: str = "") -> Forbidden:
    """In Kubernetes' words."""
    because = f": {reason}" if reason else ""
    if asked.path:
        message = f"User {quoted(caller.user)} cannot {asked.verb} path {quoted(asked.path)}"
        return Forbidden(f"forbidden: {message.translate(_SANITIZED)}{because}")
    where = f"in the namespace {quoted(asked.namespace)}" if asked.namespace else "at the cluster scope"
    message = (
        f"User {quoted(caller.user)} cannot {asked.verb} resource {quoted(asked.what)} "
        f"in API group {quoted(asked.group)} {where}"
    )
    group_resource = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f"{group_resource} {quoted(asked.name)}" if asked.name else group_resource
    about = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    details = {key: value for key, value in about.items() if value}
    return Forbidden(f"{named} is forbidden: {message.translate(_SANITIZED)}{because}", details)


def name_selected(field_selector: str) -> str:
    """The one object that a list or watch with this selector is about; "" for several."""
    if "metadata.name" not in field_selector:
        return ""
    try:
        requirements = parse_field_selector(field_selector)
    except InvalidSelector:
        return ""
    named = (each.value for each in requirements if each.path == "metadata.name" and each.operator == "=")
    return next(named, "")


def quoted(text: str) -> str:
    """As Go's %q, for what names may contain."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
