"""`actorkube why pod/NAME`: why is it there, or why does it wait, and what would help?"""

from __future__ import annotations

import argparse

from actorkube.cli.errors import CliError
from actorkube.cli.planning import config_of, objects_of, planning

_PODS = ("pod", "pods", "po")


def command(options: argparse.Namespace) -> int:
    kind, slash, name = options.what.rpartition("/")
    if (slash and kind.lower() not in _PODS) or not name:
        raise CliError(f"{options.what!r} is no pod", "say pod/NAME, as in why pod/web-1; for others: trace why")
    root, config = planning(), config_of(options)
    found = root.why(objects_of(options), options.namespace, name, config)
    if found is None:
        where = f"in namespace {options.namespace}"
        raise CliError(f"there is no pod {name} {where}", f"see kubectl get pods -n {options.namespace}")
    print(root.as_json(found) if options.output == "json" else "\n".join(root.why_lines(found, options.score_table)))
    return 0
