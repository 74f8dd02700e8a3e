"""How a kubeconfig says to reach a cluster: kubectl's rules for files, contexts and credentials.

Files that KUBECONFIG names are merged, the first that says something wins; `--kubeconfig` names the only one. Without
either it is that of our own cluster. Credentials: certificates, tokens, passwords, commands that print one (KEP-541).
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from actorkube.cli.errors import CliError
from actorkube.cli.kubeconfig import DEFAULT

COMMAND_TIMEOUT_S = 60.0
_HINT = "start a cluster, or name its file with --kubeconfig"
_EXEC_INFO = "KUBERNETES_EXEC_INFO"


class Access(NamedTuple):
    """`tls` is None for a server that is reached over plain HTTP, such as `kubectl proxy`."""

    server: str
    tls: ssl.SSLContext | None
    headers: Mapping[str, str]


def find_access(kubeconfig: str | None = None, context: str = "") -> Access:
    """Raises CliError."""
    files = config_files(kubeconfig)
    config = _merged(files)
    try:
        chosen = _named(config, "context", context or config["current-context"])
        cluster, user = _named(config, "cluster", chosen["cluster"]), _named(config, "user", chosen.get("user", ""))
        server = str(cluster["server"])
        user = {**user, **_printed(user["exec"])} if user.get("exec") else user
        tls = None if server.startswith("http://") else _tls(cluster, user)
        return Access(server, tls, _headers(user))
    except (KeyError, TypeError, AttributeError):
        wanted = f"no context {context!r} with cluster and user" if context else "no usable current context"
        raise CliError(f"{files[0]} has {wanted}", "see kubectl config get-contexts") from None
    except OSError as error:
        raise CliError(f"the credentials in {files[0]} cannot be used: {error}", "see kubectl config view") from None
    except ValueError:
        raise CliError(f"{files[0]} has a key or certificate that is none", "see kubectl config view") from None


def config_files(kubeconfig: str | None) -> list[Path]:
    """At least one; whether they exist is not asked."""
    named = (
        [kubeconfig] if kubeconfig else [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    )
    return [Path(name).expanduser() for name in named or [str(DEFAULT)]]


def _merged(files: list[Path]) -> dict[str, Any]:
    import yaml

    merged: dict[str, Any] = {"contexts": {}, "clusters": {}, "users": {}}
    found = [path for path in files if path.exists()] or files[:1]
    for path in found:
        try:
            config = yaml.safe_load(path.read_bytes())
            for field in ("contexts", "clusters", "users"):
                entries = {e["name"]: _absolute(e[field[:-1]], path.parent) for e in config.get(field) or ()}
                merged[field] = {**entries, **merged[field]}
        except OSError as error:
            raise CliError(f"cannot read {path}: {error.strerror}", _HINT) from None
        except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            raise CliError(f"{path} is no kubeconfig", _HINT) from None
        if config.get("current-context"):
            merged.setdefault("current-context", config["current-context"])
    return merged


def _named(config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    found = config[f"{kind}s"].get(name) if name or kind != "user" else {}
    if not isinstance(found, dict):
        raise KeyError(name)
    return found


def _absolute(entry: dict[str, Any], directory: Path) -> dict[str, Any]:
    """File names are relative to the file that has them."""
    files = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    return {key: str(directory / value) if key in files and value else value for key, value in entry.items()}


def _headers(user: Mapping[str, Any]) -> dict[str, str]:
    token = Path(user["tokenFile"]).read_text().strip() if user.get("tokenFile") else user.get("token")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        both = f"{user['username']}:{user.get('password', '')}"
        return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
    return {}


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    identity = _content(user, "client-certificate") + b"\n" + _content(user, "client-key")
    if identity.strip():
        with tempfile.NamedTemporaryFile() as file:  # readable for its owner only; ssl takes a key from files alone
            file.write(identity)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(entry: Mapping[str, Any], name: str) -> bytes:
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"])
    return Path(entry[name]).read_bytes() if entry.get(name) else b""


def _printed(command: Mapping[str, Any]) -> dict[str, Any]:
    """The credential that a command prints, as fields of a user."""
    spec = {"apiVersion": command["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**os.environ, _EXEC_INFO: json.dumps(spec)}
    environment |= {entry["name"]: entry["value"] for entry in command.get("env") or ()}
    words = [command["command"], *(command.get("args") or ())]
    try:
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, timeout=COMMAND_TIMEOUT_S, check=True)
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise CliError(f"{words[0]} printed no credential: {error}", "try it with kubectl first") from None
    fields = {"token": "token", "client-certificate-data": "clientCertificateData", "client-key-data": "clientKeyData"}
    found = {ours: status[theirs] for ours, theirs in fields.items() if status.get(theirs)}
    for field in ("client-certificate-data", "client-key-data"):  # it prints PEM, a kubeconfig has it in base64
        if field in found:
            found[field] = base64.b64encode(found[field].encode()).decode()
    return found
