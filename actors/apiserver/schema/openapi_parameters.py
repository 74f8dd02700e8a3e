"""What may stand in a URL, in its path or behind its question mark. Which operation takes what: openapi_paths.py."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    name: str
    type: str  # of JSON
    description: str
    where: str = "query"


def _table(rows: tuple[tuple[str, str, str], ...]) -> tuple[Parameter, ...]:
    return tuple(Parameter(*row) for row in rows)


PRETTY = Parameter(
    "pretty", "string", "'true' for an answer with line breaks, which curl, wget and browsers are given anyway."
)
NAMESPACE = Parameter("namespace", "string", "object name and auth scope, such as for teams and projects", "path")
PATH = Parameter("path", "string", "path to the resource", "path")

WRITE = _table(
    (
        ("dryRun", "string", "'All': all that a write does is done, but nothing is stored."),
        ("fieldManager", "string", "Who changes the fields, in 128 characters at most; it stands in managedFields."),
        (
            "fieldValidation",
            "string",
            "What becomes of fields that are unknown or said twice: 'Ignore', 'Warn' (the default) or 'Strict'.",
        ),
    )
)
FORCE = Parameter("force", "boolean", "An apply takes the fields that others own, too. Not for other patches.")
WATCH = Parameter("watch", "boolean", "Answers with what changes, event by event, instead of a list.")
LIST = _table(
    (
        ("allowWatchBookmarks", "boolean", "A watch may have events of type BOOKMARK, which say how far it is."),
        ("continue", "string", "Where the list goes on, as the page before said it."),
        ("fieldSelector", "string", "Only objects with fields of these values."),
        ("labelSelector", "string", "Only objects with these labels."),
        ("limit", "integer", "So many objects at most; where there are more, the list says how to continue."),
        ("resourceVersion", "string", "How new the answer has to be, or from where a watch goes on."),
        ("resourceVersionMatch", "string", "What resourceVersion means for a list: 'NotOlderThan' or 'Exact'."),
        ("sendInitialEvents", "boolean", "A watch begins with all objects that there are, and a bookmark behind them."),
        ("timeoutSeconds", "integer", "After so long the answer ends, whatever happens."),
    )
)
DELETE = _table(
    (
        WRITE[0][:3],
        ("gracePeriodSeconds", "integer", "So long the object may take to end; zero deletes it at once."),
        ("orphanDependents", "boolean", "Deprecated: propagationPolicy says more. Whether what it owns stays."),
        (
            "propagationPolicy",
            "string",
            "What becomes of what it owns: 'Orphan' leaves it, 'Background' deletes it later, 'Foreground' before.",
        ),
    )
)
RESOURCE_VERSION = next(each for each in LIST if each.name == "resourceVersion")

_CONTAINER = ("container", "string", "Which of the pod's containers; where there is only one, that one.")
_STREAMS = (
    ("stderr", "boolean", "Its standard error is wanted."),
    ("stdin", "boolean", "Its standard input is written to."),
    ("stdout", "boolean", "Its standard output is wanted."),
    ("tty", "boolean", "It has a terminal."),
)
_PROXY = _table((("path", "string", "Where the request goes."),))
# Of subresources, by name: what they take besides.
OF_SUBRESOURCES = {
    "attach": _table((_CONTAINER, *_STREAMS)),
    "exec": _table(
        (("command", "string", "What is run, and its arguments. There is no shell."), _CONTAINER, *_STREAMS)
    ),
    "log": _table(
        (
            _CONTAINER,
            ("follow", "boolean", "The answer goes on with what is said later."),
            ("insecureSkipTLSVerifyBackend", "boolean", "The certificate of the node does not matter."),
            ("limitBytes", "integer", "After so many bytes the answer ends."),
            ("previous", "boolean", "What the container said before it was started again."),
            ("sinceSeconds", "integer", "Only what was said since then."),
            ("stream", "string", "'All', 'Stdout' or 'Stderr'."),
            ("tailLines", "integer", "Only so many lines, the last ones."),
            ("timestamps", "boolean", "Each line begins with its time."),
        )
    ),
    "portforward": _table((("ports", "integer", "Which ports, where WebSockets carry them."),)),
    "proxy": _PROXY,
}


def name_of(kind: str) -> Parameter:
    return Parameter("name", "string", f"name of the {kind}", "path")
