"""The objects of a cluster that decide where pods go: listed over REST in pages, or read from a file.

A file is a Kubernetes List in JSON or YAML (gzipped if it ends with .gz): what `whatif --record` writes, and also what
`kubectl get nodes,pods,services,... -A -o json` prints.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from actorkube.cli.api import Api
from actorkube.cli.data import write_private
from actorkube.cli.errors import CliError
from protocols.errors import NotFound, StatusError

Object = dict[str, Any]
PAGE = 500
_NEEDED = ("nodes", "pods")


def list_cluster(api: Api, paths: Mapping[str, str], kinds: Mapping[str, str]) -> list[Object]:
    """Objects of each resource, with their kinds. Without what the user may not list, decisions may differ."""
    found: list[Object] = []
    for resource, path in paths.items():
        try:
            items = list_pages(api, path)
        except StatusError as refusal:
            if isinstance(refusal, NotFound) and resource not in _NEEDED:
                continue  # an API that this cluster does not have
            if resource in _NEEDED:
                raise CliError(refusal.message, "the scheduler's view needs all nodes and pods") from None
            print(f"actorkube: without {resource}, which may matter: {refusal.message}", file=sys.stderr)
            continue
        head = {"apiVersion": _version_of(path), "kind": kinds[resource]}
        found += [{**head, **item} for item in items]
    return found


def list_pages(api: Api, path: str) -> list[Object]:
    items: list[Object] = []
    token = ""
    while True:
        more = f"&continue={quote(token)}" if token else ""
        page = json.loads(api.get(f"{path}?limit={PAGE}{more}"))
        items += page.get("items") or ()
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return items


def record(file: str, objects: Iterable[Object]) -> int:
    """Readable for its owner only: environments of pods may hold secrets. Returns how many objects it has."""
    items = [_without_managers(obj) for obj in objects]
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    path = Path(file).expanduser()
    try:
        write_private(path, gzip.compress(body) if path.suffix == ".gz" else body)
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}", "name another file") from None
    return len(items)


def read_objects(file: str, hint: str) -> list[Object]:
    """Every object in a file of manifests, or on standard input (-); those of a List one by one. Raises CliError."""
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
        text = gzip.decompress(body).decode() if file.endswith(".gz") else body.decode()
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror or error}", hint) from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise CliError(f"cannot read {file}: {error}", hint) from None
    found = list(_flat(_documents(file, text, hint)))
    for number, obj in enumerate(found, 1):
        if not (isinstance(obj, dict) and isinstance(obj.get("kind"), str)):
            raise CliError(f"{file}: object {number} has no kind", hint)
    return cast(list[Object], found)


def _documents(file: str, text: str, hint: str) -> list[Any]:
    import yaml

    if text.lstrip().startswith("{"):
        try:
            return [json.loads(text)]
        except ValueError:
            pass  # a flow mapping in YAML begins like that, too
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return [document for document in yaml.load_all(text, loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise CliError(f"{file}{line}: {error.problem}", hint) from None
    except yaml.YAMLError as error:
        raise CliError(f"{file}: {error}", hint) from None


def _flat(documents: Iterable[Any]) -> Iterable[Any]:
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
            items = document.get("items")
            kind = document["kind"].removesuffix("List")
            head = {"apiVersion": document.get("apiVersion", ""), "kind": kind} if kind else {}
            yield from ({**head, **item} if isinstance(item, dict) else item for item in items or ())
        else:
            yield document


def _version_of(path: str) -> str:
    return path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")[0]


def _without_managers(obj: Object) -> Object:
    return {**obj, "metadata": {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}}
