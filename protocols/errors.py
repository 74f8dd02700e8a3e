"""Errors that actors give each other: three kinds, never mixed.

Answer               somebody decided: the request was understood and refused. Travels by name.
  StatusError        Kubernetes' own `Status`; each subclass is one `reason` with its HTTP code
    BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404, MethodNotAllowed 405, NotAcceptable 406,
    AlreadyExists 409, Conflict 409 (read again, then retry), Expired 410 (list again), RequestEntityTooLarge 413,
    UnsupportedMediaType 415, Invalid 422, TooManyRequests 429 (wait `retryAfterSeconds`), InternalError 500,
    ServiceUnavailable 503, ServerTimeout 500 (retry), Timeout 504 (wait `retryAfterSeconds`),
    ConversionFailed 500 (by a webhook; without a reason, as Kubernetes says it)
  etcd's answers     NotLeader (ask `leader`), Compacted (watch from later), LeaseNotFound ...: in protocols/etcd.py
AskError             nobody answered; each says what is known about the request
    NotSent          it never left: safe to repeat
    Unknown          it may or may not have happened: look before deciding more
    DeadlineExceeded its time ran out (the same doubt as Unknown)
    Overloaded       the receiver's mailbox was full: it did not happen
    Terminated       the receiver does not exist (any more); it did not happen if it never ran
anything else        a bug: the actor crashes and its supervisor restarts it
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgpack

from protocols.naming import wire_name

ERROR_MAX = 64 * 1024  # bytes; what is longer is not unfolded: a few MiB of MessagePack can become hundreds in memory


class Answer(Exception):
    """A refusal that travels: encoded by name (naming.py), message and details (plain data)."""

    _known: ClassVar[dict[str, type[Answer]]] = {}
    wire_name: ClassVar[str] = "Answer"

    def __init_subclass__(cls) -> None:
        cls.wire_name = wire_name(cls)
        Answer._known[cls.wire_name] = cls

    def __init__(self, message: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details or {}


_INTERNALLY = "Internal error occurred: "


class StatusError(Answer):
    """A `Status` of kind Failure. `details` are StatusDetails: name, group, kind, causes, retryAfterSeconds."""

    code: int = 500
    reason: str = "InternalError"
    has_details: ClassVar[bool] = False  # whether a Status of this reason has details, if empty ones

    def status(self) -> dict[str, Any]:
        """The Kubernetes Status object (meta/v1) for this error."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details or self.has_details:
            body["details"] = self.details
        return {**body, "code": self.code}


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    code, reason, has_details = 403, "Forbidden", True


class NotFound(StatusError):
    code, reason, has_details = 404, "NotFound", True


class MethodNotAllowed(StatusError):
    code, reason, has_details = 405, "MethodNotAllowed", True


class NotAcceptable(StatusError):
    code, reason, has_details = 406, "NotAcceptable", True


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    code, reason = 409, "Conflict"


class Expired(StatusError):
    """`goes_on_with`: a token with which who lists in pages may go on all the same."""

    code, reason = 410, "Expired"

    def __init__(self, message: str = "", details: dict[str, Any] | None = None, *, goes_on_with: str = "") -> None:
        super().__init__(message, details)
        self.goes_on_with = goes_on_with

    def status(self) -> dict[str, Any]:
        found = super().status()
        return {**found, "metadata": {"continue": self.goes_on_with}} if self.goes_on_with else found


class RequestEntityTooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason, has_details = 415, "UnsupportedMediaType", True


class Invalid(StatusError):
    code, reason = 422, "Invalid"


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    code, reason = 500, "InternalError"

    def status(self) -> dict[str, Any]:
        """What went wrong is the cause, too."""
        body = super().status()
        cause = self.message.removeprefix(_INTERNALLY)
        if not self.details and cause != self.message:
            body["details"] = {"causes": [{"message": cause}]}
        return body


class AdmissionRefusal(StatusError):
    """A webhook or a policy says no, with a code and a reason of its own: `code` and `reason` in the details, 400 and
    none without. What else is in them is shown."""

    code, reason = 400, ""

    def __init__(self, message: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message, details)
        self.code, self.reason = self.details.get("code", 400), self.details.get("reason", "")

    def status(self) -> dict[str, Any]:
        body = super().status()
        shown = {key: value for key, value in self.details.items() if key not in ("code", "reason")}
        body.pop("details", None)
        return {**body, **({"details": shown} if shown else {})}


class ServerTimeout(StatusError):
    code, reason = 500, "ServerTimeout"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    code, reason, has_details = 504, "Timeout", True


class ConversionFailed(StatusError):
    code, reason = 500, ""


class AskError(Exception):
    """No answer came; the subclass says what is known."""


class NotSent(AskError):
    """The request never left this process, or was refused before it was handled: repeating it is safe."""


class Unknown(AskError):
    """The connection ended after the request was sent: it may have happened."""


class DeadlineExceeded(Unknown):
    """No answer within the time to live: it may have happened."""


class Overloaded(NotSent):
    """The receiver's mailbox is full; it was not handled."""


class Terminated(NotSent):
    """There is no such actor at the address."""


_ask_errors: dict[str, type[AskError]] = {
    cls.__name__: cls for cls in (NotSent, Unknown, DeadlineExceeded, Overloaded, Terminated)
}


def error_of(status: dict[str, Any], code: int) -> StatusError:
    """What the Status of another server means: by its reason, or else by its HTTP code."""
    known = [each for each in StatusError.__subclasses__() if each.reason]
    by_reason = {each.reason: each for each in known}
    by_code = {each.code: each for each in reversed(known)}
    kind = by_reason.get(str(status.get("reason"))) or by_code.get(code) or InternalError
    details = status.get("details")
    return kind(str(status.get("message") or f"HTTP status {code}"), details if isinstance(details, dict) else {})


def encode_error(error: Answer | AskError) -> bytes:
    """An error that would be too long to be read loses its details first, then the end of its sentence."""
    details = error.details if isinstance(error, Answer) else {}
    name = error.wire_name if isinstance(error, Answer) else type(error).__name__
    packed: bytes = msgpack.packb([name, str(error), details])
    if len(packed) > ERROR_MAX:
        packed = msgpack.packb([name, str(error)[: ERROR_MAX // 8], {}])
    return packed


def decode_error(body: bytes) -> Answer | AskError:
    """Total: an error that this process does not know becomes InternalError with its text."""
    if len(body) > ERROR_MAX:
        return InternalError(f"an error of {len(body)} bytes, which is more than {ERROR_MAX}")
    try:
        name, message, details = msgpack.unpackb(body)
        if not (isinstance(message, str) and isinstance(details, dict)):
            raise TypeError("an error is a name, a sentence and details")
        if name in _ask_errors:
            return _ask_errors[name](message)
        return Answer._known[name](message, details)
    except (ValueError, KeyError, TypeError, msgpack.UnpackException):
        return InternalError(f"an error this process does not know: {body[:200]!r}")
