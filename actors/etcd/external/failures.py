"""What a call that went wrong means for whoever asked: etcd's own refusals as ours, and doubt where there is doubt."""

from __future__ import annotations

from actors.etcd.external.channel import Failed, Lost
from actors.etcd.grpc.status import NO_LEADER, Code
from protocols.errors import Answer, AskError, BadRequest, Unknown
from protocols.etcd import Compacted, EtcdAnswer, NotLeader

_REFUSALS = {cls.etcd_text: cls for cls in EtcdAnswer.__subclasses__() if cls.etcd_text and cls is not NotLeader}
_BAD = (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.OUT_OF_RANGE)
_NEVER_BEGUN = (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED)


def failure(error: Failed | Lost) -> Answer | AskError:
    """A refusal that etcd has words for is an answer: it did not happen. Of the rest, only what was never begun is
    known not to have; that is told as a replica tells that nobody leads, so that it is asked again."""
    if isinstance(error, Lost):
        return Unknown(str(error)) if error.sent else NotLeader(str(error))
    if error.text == NO_LEADER.text:
        return NotLeader(error.text)
    known = _REFUSALS.get(error.text)
    if known is not None:
        return known(error.text)
    if error.code in _BAD:
        return BadRequest(f"etcd: {error}")
    if error.code in _NEVER_BEGUN:
        return NotLeader(f"etcd: {error}")
    return Unknown(f"etcd: {error}")


def ended(response: object) -> Answer | AskError:
    """Why etcd has ended a watch."""
    compacted, reason = getattr(response, "compact_revision", 0), getattr(response, "cancel_reason", "")
    if compacted:
        return Compacted(Compacted.etcd_text, {"compact_revision": compacted})
    return Unknown(f"etcd ended the watch: {reason or 'without a reason'}")
