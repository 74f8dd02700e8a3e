"""How a cluster's REST side is reached and who is believed there: certificates, keys, and tokens of users, as files.

`now` is seconds since the epoch: what is made is good from then on.
"""

from __future__ import annotations

import fcntl
import ipaddress
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from actorkube.runtime.identity import LinkAuthority

if TYPE_CHECKING:
    from actorkube.cli.composition import OidcOptions, Protection
    from actors.apiserver.audit.config import AuditConfig
    from actors.apiserver.callers import Caller
    from actors.apiserver.encryption.sealing import Encryption
    from actors.apiserver.rest.config import RestConfig
    from actors.apiserver.tls import Authority
    from actors.apiserver.tokens.jwt_claims import JwtConfig
    from actors.apiserver.tokens.oidc import OidcConfig
    from actors.cluster import ClusterSpec


def authority(spec: ClusterSpec, now: float) -> Authority:
    from actors.apiserver.tls import Authority

    assert spec.data is not None
    return Authority(spec.data / "pki", now)


def rest_config(spec: ClusterSpec, now: float, name: str = "apiserver") -> RestConfig:
    """Where and with which certificate this API server serves REST; makes what does not exist yet."""
    from actors.apiserver.rest.config import RestConfig

    assert spec.api_address is not None and spec.data is not None
    number = list(spec.api_servers).index(name)
    host, port = spec.api_address
    with _alone_in(spec.data):
        ca = authority(spec, now)
        server = ca.server([str(next(ipaddress.ip_network(spec.service_cidr).hosts()))])
        if spec.cluster:
            make_link_certificates(spec, now)
        ca.admin()  # here, where certificates are made anyway: the command line then only reads it (see `credentials`)
        ca.component()
        account_key = ca.account_key()
        proxy_ca, proxy = ca.front_proxy()
    return RestConfig(
        host,
        port,
        spec.more_api_listeners[number - 1] if number else spec.api_listener,
        ca_file=ca.ca_file,
        cert_file=server.cert_file,
        key_file=server.key_file,
        account_key_file=account_key,
        proxy_ca_file=proxy_ca,
        proxy_cert_file=proxy.cert_file,
        proxy_key_file=proxy.key_file,
        tokens=user_tokens(spec.token_auth_file) if spec.token_auth_file is not None else {},
        oidc=believed(spec),
    )


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """API servers that start at the same time make the cluster's keys once."""
    with (directory / ".making-keys").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def certificate_signer(spec: ClusterSpec) -> Callable[[bytes, Collection[str], float, float], bytes]:
    """Signs requests for certificates with the cluster's CA."""
    from actorkube.runtime.certificates import Issued

    assert spec.data is not None
    ca = Issued.at(spec.data / "pki", "ca")

    def sign(request_pem: bytes, usages: Collection[str], seconds: float, now: float) -> bytes:
        from actorkube.runtime.certificate_requests import sign_request  # cryptography: with the first request

        return sign_request(ca, request_pem, usages, seconds, now)

    return sign


def make_link_certificates(spec: ClusterSpec, now: float) -> None:
    """For those who join from outside: the API servers' certificates on links, and the authority that guests get."""
    assert spec.data is not None
    links = LinkAuthority(spec.data / "pki" / "links", spec.cluster, now)
    for name in spec.api_servers:
        links.identity(name)
    links.guests()


def check_oidc(options: OidcOptions) -> OidcConfig:
    """Raises CliError with what is wrong."""
    from actorkube.cli.errors import CliError
    from actors.apiserver.tokens.oidc import OidcConfig, OidcError

    claims = [each.partition("=") for each in options.required_claims]
    if wrong := next((key for key, sign, _ in claims if not key or not sign), None):
        raise CliError(f"--oidc-required-claim {wrong}: it says no value", "a claim is KEY=VALUE")
    config = OidcConfig(
        options.issuer_url,
        options.client_id,
        options.username_claim,
        options.username_prefix,
        options.groups_claim,
        options.groups_prefix,
        {key: value for key, _, value in claims},
        Path(options.ca_file) if options.ca_file else None,
    )
    try:
        config.check()
    except OidcError as error:
        raise CliError(str(error), "see docs/security.md") from None
    return config


def believed(spec: ClusterSpec) -> Sequence[OidcConfig | JwtConfig]:
    """The issuers of users' tokens."""
    if spec.authentication_config is not None:
        return check_authentication(spec.authentication_config)
    return (check_oidc(spec.oidc),) if spec.oidc is not None else ()


def check_authentication(path: Path) -> Sequence[JwtConfig]:
    """The issuers in a file. Raises CliError with what is wrong there."""
    from actorkube.cli.errors import CliError
    from actors.apiserver.tokens.authentication_config import ConfigurationError, parse_authentication

    try:
        return parse_authentication(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        hint = "--authentication-config wants an AuthenticationConfiguration of apiserver.config.k8s.io/v1"
        raise CliError(f"cannot read {path}: {error}", hint) from None
    except ConfigurationError as error:
        raise CliError(str(error), "see docs/security.md") from None


def user_tokens(path: Path) -> Mapping[str, Caller]:
    """Whose the tokens in a file are. Raises CliError with the line of what is wrong there."""
    from actorkube.cli.errors import CliError
    from actors.apiserver.tokens.file import TokenFileError, read_tokens

    try:
        return read_tokens(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {path}: {error}", "--token-auth-file wants a file") from None
    except TokenFileError as error:
        raise CliError(str(error), 'a line is token,user,uid,"group1,group2"') from None


def check_protection(protection: Protection) -> None:
    """Raises CliError for files that cannot be used."""
    audit_config(protection, "apiserver")
    encryption_of(protection)


def audit_config(protection: Protection, name: str) -> AuditConfig | None:
    """What this API server writes where; each has a file of its own. Raises CliError for what is wrong there."""
    from actorkube.cli.errors import CliError

    if not protection.audit_policy and not protection.audit_log:
        return None
    if not protection.audit_policy or not protection.audit_log:
        raise CliError(
            "an audit needs a policy and a place for its log", "say --audit-policy-file and --audit-log-path"
        )
    from actors.apiserver.audit.config import AuditConfig, LogFile, PolicyError, parse_policy

    log = Path(protection.audit_log).absolute()
    if not log.parent.is_dir():
        raise CliError(f"there is no directory {log.parent}", "--audit-log-path wants a file in one that exists")
    path = log if name == "apiserver" else log.with_name(f"{name}.{log.name}")
    try:
        policy = parse_policy(Path(protection.audit_policy).read_text(), protection.audit_policy)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"cannot read {protection.audit_policy}: {error}", "--audit-policy-file wants a Policy of audit.k8s.io/v1"
        ) from None
    except PolicyError as error:
        raise CliError(str(error), "see docs/security.md") from None
    return AuditConfig(policy, LogFile(path, protection.audit_log_mib * 1024 * 1024, protection.audit_backups))


def encryption_of(protection: Protection) -> Encryption | None:
    """How what is stored is sealed; None: not at all. Raises CliError with what is wrong in the configuration."""
    from actorkube.cli.errors import CliError

    if not protection.encryption:
        return None
    from actors.apiserver.encryption.config import ConfigurationError, parse_configuration

    path = protection.encryption
    try:
        return parse_configuration(Path(path).read_text(), path)
    except (OSError, UnicodeDecodeError) as error:
        hint = "--encryption-provider-config wants an EncryptionConfiguration of apiserver.config.k8s.io/v1"
        raise CliError(f"cannot read {path}: {error}", hint) from None
    except ConfigurationError as error:
        raise CliError(str(error), "see docs/security.md") from None
