"""What the audit of one API server is given: the policy, and where its log is."""

from __future__ import annotations

from typing import NamedTuple

from actors.apiserver.audit.log import LogFile as LogFile
from actors.apiserver.audit.policy import Policy, read_policy
from actors.apiserver.audit.policy import PolicyError as PolicyError


class AuditConfig(NamedTuple):
    policy: Policy
    file: LogFile


def parse_policy(text: str, where: str) -> Policy:
    """A policy as a file has it, YAML or JSON. Raises PolicyError, with the name of the file."""
    import yaml  # only who audits pays for it

    try:
        return read_policy(yaml.safe_load(text))
    except (yaml.YAMLError, PolicyError) as error:
        raise PolicyError(f"{where}: {error}") from None
