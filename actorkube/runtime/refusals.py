"""Why a connection was refused or ended: a small fixed set of reasons, counted by the transport, logged as a sentence.

The set is the label of a metric, so it is bounded; what is particular to a case stands in the sentence.
"""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    # what was read
    GARBAGE = "garbage"  # no frame of this protocol, or a frame where it must not be
    OVERSIZE = "oversize"  # a frame longer than its bound
    NONSENSE = "nonsense"  # a frame that no peer in its senses sends: unknown kind, broken name, item without credit
    # who called
    VERSION = "version"  # another wire version
    MESSAGES = "messages"  # the same wire version, another message table
    NAME = "name"  # another system answers than was dialled, or the certificate is somebody else's
    PLACE = "place"  # a system that lives on this host called from elsewhere
    KEY = "key"  # does not know the cluster's key
    USER = "user"  # a unix socket of another user's process
    SUCCESSOR = "successor"  # would go on with a link that is not there
    # certificates
    UNKNOWN_CA = "unknown_ca"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NO_CERTIFICATE = "no_certificate"
    TLS = "tls"  # any other failure of the TLS handshake
    NOT_RENEWED = "not_renewed"  # certificates changed, and the peer made no new connection in time
    # time and amount
    CROWD = "crowd"  # too many connections in greeting at once
    LATE = "late"  # no complete greeting in time
    SILENCE = "silence"
    UNREAD = "unread"  # does not read what it is owed
    # faults that were asked for
    CUT = "cut"  # a test or a user has cut us off from that peer
    # what others decided
    UNREACHABLE = "unreachable"  # cannot be dialled
    BY_PEER = "by_peer"  # the other side refused us, and said why


class Refused(ValueError):
    """The connection is not worth keeping: `reason` is counted, the sentence is logged and told to the peer."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
