"""Who a system is on links over TLS: a certificate that names it, `ak://<cluster>/<system>`, and whom it believes.

Both sides show one (TLS 1.3). Who joins a cluster from outside has a certificate of a guest (guests.py),
`ak://<guest>.joined.<cluster>/...`: the authority that signs those can sign no others, and OpenSSL checks that. So a
guest can be anybody but one of the cluster's own systems, or another guest's.
"""

from __future__ import annotations

import dataclasses
import functools
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorkube.runtime.certificates import CertificateAuthority, Issued, Wanted, private_directory
from actorkube.runtime.guests import LABEL, SHARED, Revoked, read_revoked
from actorkube.runtime.refusals import Reason, Refused

VALID_DAYS = 365.0  # of a certificate on links
RENEW_AFTER_S = VALID_DAYS * 86_400 * 2 / 3


@dataclass(frozen=True, eq=False)
class Identity:
    """Files, read when they are needed first. `revoked`: serial numbers (hexadecimal) that are not believed;
    `revoked_file`: guests that are not.

    `renewal` puts new ones in their place, made at the time that it is given; it raises OSError where it cannot.
    """

    cluster: str
    ca_file: Path
    cert_file: Path
    key_file: Path
    revoked: frozenset[str] = frozenset()
    revoked_file: Path | None = None
    renewal: Callable[[float], object] | None = None
    _read: list[tuple[int, ...]] = dataclasses.field(default_factory=list, init=False, repr=False)  # stamps of files

    @functools.cached_property
    def for_calls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # who it is stands in the URI (`check`)
        return self._load(context)

    @functools.cached_property
    def for_callers(self) -> ssl.SSLContext:
        context = self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.num_tickets = 0  # no session is resumed: each connection shows its certificates
        return context

    @functools.cached_property
    def revoked_guests(self) -> Revoked:
        return Revoked() if self.revoked_file is None else read_revoked(self.revoked_file)

    def renew_due(self, now: float) -> None:
        """Put new files in the place of those that are at two thirds of their life. Raises OSError."""
        if self.renewal is not None and is_due(self.cert_file, now):
            self.renewal(now)

    def fresh(self) -> Identity | None:
        """The same files, when they have changed since they were read. Raises OSError while they do not fit."""
        if not self._read or self._read[-1] == self._stamp():
            return None
        again = dataclasses.replace(self)
        again.load()
        return again

    def load(self) -> None:
        """Read the files now. Raises OSError (ssl.SSLError is one)."""
        _ = self.for_calls, self.for_callers, self.revoked_guests

    def has_certificates_of(self, other: Identity) -> bool:
        """And differs at most in who is revoked."""
        return self._stamp()[:-1] == (other._read[-1][:-1] if other._read else None)

    def check(self, certificate: Mapping[str, Any], system: str, *, dialled: bool) -> str | None:
        """The guest whose certificate it is, signed by the right authority; None: one of the cluster's own. Raises
        Refused: it is somebody else's, or revoked."""
        if str(certificate.get("serialNumber")) in self.revoked:
            raise Refused(Reason.REVOKED, f"the certificate of {system} is revoked")
        uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
        if uri(self.cluster, system) in uris:
            return None
        guests = [] if dialled else [guest for each in uris if (guest := guest_in(each, self.cluster, system))]
        if not guests:
            raise Refused(Reason.NAME, f"{system} shows the certificate of {', '.join(uris) or 'nobody'}")
        if self.revoked_guests.covers(guests[0], system):
            raise Refused(Reason.REVOKED, f"{system} is of the guest {guests[0]}, and revoked")
        return guests[0]

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        self._read[:] = [self._stamp()]
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca_file)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def _stamp(self) -> tuple[int, ...]:
        revoked = self.revoked_file
        revoked_at = revoked.stat().st_mtime_ns if revoked is not None and revoked.exists() else 0
        certificates = (self.ca_file, self.cert_file, self.key_file)
        return (*(file.stat().st_mtime_ns for file in certificates), revoked_at)


class LinkAuthority:
    """The authority of a cluster's links, in a directory of its own; apart from the one whose word counts at REST."""

    def __init__(self, directory: Path, cluster: str, now: float) -> None:
        self._directory = private_directory(directory)
        self._cluster = cluster
        self._now = now
        self._root = CertificateAuthority.root(Issued.at(directory, "ca"), f"links of {cluster}", now)
        self.ca_file = self._root.files.cert_file

    def identity(self, system: str) -> Identity:
        """One of the cluster's own systems; its certificate is made if there is none, or only an old one."""
        files = Issued.at(self._directory, system)
        if not files.exists or is_due(files.cert_file, self._now):
            self.renew(system)
        return Identity(self._cluster, self.ca_file, files.cert_file, files.key_file, renewal=self.renewal(system))

    def renewal(self, system: str) -> Callable[[float], object]:
        return lambda now: LinkAuthority(self._directory, self._cluster, now).renew(system)

    def renew(self, system: str, valid_days: float = VALID_DAYS) -> None:
        """A new certificate in place of the old one: who has read the old one goes over to it."""
        wanted = certificate_of(self._cluster, system, valid_days=valid_days)
        self._root.issue(Issued.at(self._directory, system), wanted)

    def guests(self, name: str = SHARED) -> Issued:
        """The authority for a guest; made if there is none."""
        files = guest_files(self._directory, name)
        if not files.exists:
            private_directory(files.cert_file.parent)
            self._root.delegate(files, f"{name} guest of {self._cluster}", guests_of(self._cluster, name))
        return files


def guest_files(directory: Path, name: str) -> Issued:
    return Issued.at(directory, "guests") if name == SHARED else Issued.at(directory / "guests.d", name)


def guest(
    directory: Path, cluster: str, system: str, *, ca_pem: bytes, signer: Issued, now: float, name: str = SHARED
) -> Identity:
    """A guest's identity, made on the guest's own machine with what it was given; kept in the directory."""
    ca_file = private_directory(directory) / "ca.crt"
    ca_file.write_bytes(ca_pem)
    files = Issued.at(directory, system)
    wanted = certificate_of(guests_of(cluster, name), system, chain=signer.cert_pem)

    def issue(now: float) -> None:
        CertificateAuthority(signer, now).issue(files, wanted)

    issue(now)
    return Identity(cluster, ca_file, files.cert_file, files.key_file, renewal=issue)


def is_due(cert_file: Path, now: float) -> bool:
    """A file's time is when its certificate was made (certificates.py)."""
    return now > cert_file.stat().st_mtime + RENEW_AFTER_S


def certificate_of(host: str, system: str, *, valid_days: float = VALID_DAYS, chain: bytes = b"") -> Wanted:
    return Wanted(system, uris=(uri(host, system),), serves=True, calls=True, valid_days=valid_days, chain=chain)


def uri(host: str, system: str) -> str:
    return f"ak://{host}/{system}"


def guests_of(cluster: str, name: str = SHARED) -> str:
    return f"joined.{cluster}" if name == SHARED else f"{name}.joined.{cluster}"


def guest_in(said: str, cluster: str, system: str) -> str:
    """The guest whose system a URI names; "" where it is none."""
    host, _, of = said.removeprefix("ak://").partition("/")
    if of != system or not said.startswith("ak://"):
        return ""
    if host == guests_of(cluster):
        return SHARED
    name = host.removesuffix(f".{guests_of(cluster)}")
    return name if name != host and name != SHARED and LABEL.fullmatch(name) else ""


# What OpenSSL says, as a verdict on the other's certificate or as the other's verdict (an alert), and what it means.
_MEANING = (
    ("certificate has expired", Reason.EXPIRED),
    ("certificate expired", Reason.EXPIRED),
    ("not yet valid", Reason.EXPIRED),
    ("permitted subtree violation", Reason.NAME),
    ("unknown ca", Reason.UNKNOWN_CA),
    ("issuer certificate", Reason.UNKNOWN_CA),
    ("self-signed", Reason.UNKNOWN_CA),
    ("certificate signature failure", Reason.UNKNOWN_CA),
    ("alert decrypt error", Reason.UNKNOWN_CA),
    ("did not return a certificate", Reason.NO_CERTIFICATE),
    ("certificate required", Reason.NO_CERTIFICATE),
)


def meaning(error: Exception) -> Reason:
    """The reason behind a connection that could not be made, or broke off before it was open."""
    if not isinstance(error, ssl.SSLError):
        return Reason.UNREACHABLE
    text = str(error).lower().replace("_", " ")
    return next((reason for said, reason in _MEANING if said in text), Reason.TLS)
