"""`actorkube trace`: follow what happens in a running cluster from actor to actor, and why something happened."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from actorkube.cli import watched
from actorkube.cli.api import Api
from actorkube.cli.composition import composition
from actorkube.cli.errors import CliError
from actorkube.kube.trees import summaries, tree
from actorkube.kube.why import explain
from actorkube.runtime.observers import Observers
from actorkube.runtime.otlp import otlp
from protocols.api import AskHistory, History
from protocols.errors import NotFound, StatusError
from protocols.observe import FollowTraces, SpanReport
from protocols.trace import TraceContext

SETTLE_S = 0.05  # what a request leads to may go on when it is answered
TRACES_SHOWN = 20


def command(options: argparse.Namespace) -> int:
    try:
        asyncio.run(_do(options))
    except StatusError as refusal:
        raise CliError(refusal.message, "see actorkube trace --help") from None
    return 0


async def _do(options: argparse.Namespace) -> None:
    match options.words:
        case ["why", what]:
            with _api(options) as api:
                await _why(api, what, options)
        case ["get", *what] if 1 <= len(what) <= 2:
            with _api(options) as api:
                await _get(api, what, options)
        case words:
            async with watched.observers(options) as observers:
                await _look(observers, words)


def _api(options: argparse.Namespace) -> Api:
    if options.system is not None:
        raise CliError(f"trace {options.words[0]} asks an API server", "leave --system out, or say list, or show ID")
    return Api(options.kubeconfig)


async def _look(observers: Observers, words: Sequence[str]) -> None:
    match words:
        case ["list"]:
            _print(summaries(await _spans(observers), TRACES_SHOWN))
        case ["show", trace_id]:
            _print(tree(await _spans(observers, trace_id)))
        case ["export", file]:
            _export(await _spans(observers), file)
        case ["export", file, trace_id]:
            _export(await _spans(observers, trace_id), file)
        case ["on"]:
            await _follow(observers, 1.0)
        case ["on", rate]:
            await _follow(observers, _share(rate))
        case ["off"]:
            await _follow(observers, 0.0)
        case words:
            raise CliError(
                f"trace cannot {' '.join(words)!r}", "say why KIND/NAME, get, list, show ID, export FILE, on or off"
            )


async def _why(api: Api, what: str, options: argparse.Namespace) -> None:
    resource, slash, name = what.partition("/")
    if not (resource and slash and name):
        raise CliError(f"{what!r} names no object", "say KIND/NAME, as in pod/web-1")
    history = api.ask((), AskHistory(resource, name, options.namespace))
    observers = api.observers()
    await observers.find()
    try:
        found = await explain(cast(History, history), observers, revision=options.revision, latest=options.latest)
    except NotFound as unknown:
        with contextlib.suppress(CliError):  # of a resource whose path is not known
            _must_be_there(api, _path([what], options.namespace), unknown)
        raise
    happened = "deleted" if found.origin.deleted else "written"
    print(f"{found.resource} {found.key} was {happened} as revision {found.origin.revision}, because:")
    _print(found.lines())


def _must_be_there(api: Api, path: str, unknown: NotFound) -> None:
    try:
        api.get(path)
    except NotFound as missing:
        raise NotFound(f"{missing.message}, and of one that was there before {unknown.message}") from None


async def _get(api: Api, what: Sequence[str], options: argparse.Namespace) -> None:
    path = what[0] if what[0].startswith("/") else _path(what, options.namespace)
    begun = TraceContext(os.urandom(16), int.from_bytes(os.urandom(8), "big") | 1)
    began = time.time()
    body = api.get(path, begun)
    print(f"GET {path}: {len(body):,} bytes in {(time.time() - began) * 1000:.1f} ms   trace {begun.trace_id.hex()}")
    await asyncio.sleep(SETTLE_S)
    _print(tree(await _spans(api.observers(), begun.trace_id.hex())))


def _path(what: Sequence[str], namespace: str) -> str:
    """The REST path of `pods`, `pod/web-1` or `pod web-1`."""
    word, _, name = "/".join(what).partition("/")
    for resource in composition().api_resources():
        if word.lower() in (resource.group_resource, resource.plural, resource.singular, *resource.short_names):
            root = f"/apis/{resource.api_version}" if "/" in resource.api_version else f"/api/{resource.api_version}"
            place = f"/namespaces/{namespace}" if resource.namespaced else ""
            return f"{root}{place}/{resource.plural}" + (f"/{name}" if name else "")
    raise CliError(f"the API server has no resource {word!r}", "say such as pods, deploy/web, or a path (/api/v1/pods)")


async def _follow(observers: Observers, rate: float) -> None:
    await observers.find()
    told = await observers.ask_all(FollowTraces(rate))
    who = "1 system begins" if len(told) == 1 else f"{len(told)} systems begin"
    print(f"{who} {f'a trace with a chance of {rate:g}' if rate else 'no traces'} from now on")


def _share(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise CliError(f"{text!r} is no share", "say a number from 0 to 1, such as 0.01")
    return rate


def _export(spans: Sequence[SpanReport], file: str) -> None:
    document: dict[str, Any] = otlp(spans)
    try:
        Path(file).expanduser().write_text(json.dumps(document))
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}", "name another file") from None
    print(f"{len(spans)} spans in {file}")


async def _spans(observers: Observers, trace_id: str = "") -> list[SpanReport]:
    await observers.find()
    found = await observers.spans(trace_id)
    if not found:
        raise NotFound(
            f"no span of trace {trace_id} is known (any more)" if trace_id else "nothing was followed (see trace on)"
        )
    return found


def _print(lines: Sequence[str]) -> None:
    print("\n".join(lines))
