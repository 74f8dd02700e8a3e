"""The command line. Each command imports what it needs when it is called."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Sequence

from actorkube.cli.errors import CliError

_REPLACEABLE = ("scheduler", "controller-manager", "cloud-controller-manager")

EPILOG = """\
first steps:
  python -m actorkube cluster                      start a cluster: 3 etcd, control plane, 3 nodes
  export KUBECONFIG=~/.actorkube/kubeconfig        then use kubectl as ever
  kubectl get nodes
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 with one line on standard error that says what to do, or 2 for a wrong command line."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.is_program = arguments is None
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_left():
            raise
        return 128 + signal.SIGPIPE  # as of a program that does not catch it
    except CliError as error:
        print(f"actorkube: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _reader_has_left() -> bool:
    """Whoever reads standard output has seen enough, as in `why pod/web | head -3`."""
    output = select.poll()
    output.register(sys.stdout, 0)
    has_left = any(event & select.POLLERR for _, event in output.poll(0))
    if has_left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is for nobody, and no error
    return has_left


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="actorkube",
        description="Kubernetes' architecture as actors: a real cluster for a stock kubectl, in one command.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_cluster(commands.add_parser("cluster", help="start a whole cluster on this machine and keep it running"))
    _add_run(commands.add_parser("run", help="run one component on its own and join it to a cluster"))
    _add_guests(commands.add_parser("guests", help="say who may join a cluster from outside; revoke a guest"))
    _add_time(commands.add_parser("time", help="control the clock of a cluster that runs with --time virtual"))
    _add_host(
        commands.add_parser("host", help="cut hosts of a running cluster off, set their clocks; kill and start them")
    )
    _add_sim(commands.add_parser("sim", help="run a scenario in simulation, under one seed or thousands"))
    _add_top(commands.add_parser("top", help="show what the actors of a running cluster do"))
    _add_trace(commands.add_parser("trace", help="follow a request from actor to actor, or ask why something happened"))
    _add_why(commands.add_parser("why", help="say why a pod is on its node, or why none will do and what would help"))
    _add_whatif(commands.add_parser("whatif", help="say where pods would go, and how full nodes would be"))
    _add_etcd(commands.add_parser("etcd", help="look into a store's files, check, copy and restore them"))
    _add_version(commands.add_parser("version", help="print the version"))
    for each in commands.choices.values():
        each.set_defaults(parser=each)
    return top


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_cluster)
    parser.description = "Start a cluster and keep it running until Ctrl-C, which stops everything, pods included."
    add = parser.add_argument
    add("--nodes", type=_count(0, 250), default=3, metavar="N", help="nodes (default 3)")
    add("--etcd", type=_count(1, 7), metavar="N", help="etcd replicas (default: as in DIR, or 3)")
    add(
        "--apiservers", type=_count(1, 9), default=1, metavar="N", help="API servers, each with a REST port (default 1)"
    )
    add("--store", metavar="URL", help="a real etcd instead: etcd://HOST:PORT[,HOST:PORT...], or etcds:// for TLS")
    add("--store-ca", default="", metavar="FILE", help="the authority of its certificate (default: the system's)")
    add("--store-cert", default="", metavar="FILE", help="the certificate that it wants to see")
    add("--store-key", default="", metavar="FILE", help="and the key of that")
    add("--schedulers", type=_count(1, 9), default=1, metavar="N", help="schedulers, of which one leads (default 1)")
    add("--scheduler-config", metavar="FILE", help="a KubeSchedulerConfiguration: profiles and plugins")
    add(
        "--without",
        type=_components,
        default=frozenset(),
        metavar="NAMES",
        help="components of somebody else's, such as a real kube-scheduler: " + ", ".join(_REPLACEABLE),
    )
    add("--token-auth-file", metavar="FILE", help='bearer tokens of users: token,user,uid,"group1,group2" a line')
    add("--audit-policy-file", default="", metavar="FILE", help="what is audited: a Policy of audit.k8s.io/v1")
    add("--audit-log-path", default="", metavar="FILE", help="where to: one JSON event a line")
    add("--audit-log-maxsize", type=_count(1, 10_000), default=100, metavar="MIB", help="of one log file (default 100)")
    add("--audit-log-maxbackup", type=_count(0, 10_000), default=10, metavar="N", help="older log files (default 10)")
    add(
        "--encryption-provider-config",
        default="",
        metavar="FILE",
        help="what is encrypted in the store, and by which keys",
    )
    _add_oidc(parser)
    add("--kubernetes-version", default="", metavar="1.N", help="the API to serve, from 1.27 on (default 1.36)")
    add("--data", metavar="DIR", help="keep the cluster's state here; a second start continues from it")
    add("--kubeconfig", metavar="FILE", help="where to write the kubeconfig (default ~/.actorkube/kubeconfig)")
    add("--api-port", type=_count(1, 65535), metavar="PORT", help="REST port (default 6443, or the next free one)")
    add("--processes", choices=("many", "one"), help="a process a component (default), or all in one process")
    add("--runtime", choices=("process", "sim"), default="process", help="real processes, or simulated containers")
    add("--time", choices=("real", "virtual"), default="real", help="virtual: its time is yours, see `actorkube time`")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="for DIR/logs/*.log")
    add("--log-format", choices=("text", "json"), default="text", help="of DIR/logs/*.log")
    add(
        "--trace",
        type=_share,
        nargs="?",
        const=1.0,
        default=0.0,
        metavar="SHARE",
        help="every message says what caused it, for this share of what happens (default: all), see `actorkube trace`",
    )
    add(
        "--node-monitor-grace-period",
        type=_seconds,
        default=50.0,
        metavar="TIME",
        help="a node without a sign of life for so long is NotReady (default 50s)",
    )
    add(
        "--pod-eviction-timeout",
        type=_seconds,
        default=300.0,
        metavar="TIME",
        help="pods stay on a lost node for so long, unless they tolerate otherwise (default 5m)",
    )


def _add_oidc(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("users of an OpenID Connect issuer").add_argument
    add("--oidc-issuer-url", metavar="URL", help="whose tokens are taken, as its tokens name it (https://...)")
    add("--oidc-client-id", default="", metavar="ID", help="whom the tokens must be for")
    add("--oidc-username-claim", default="sub", metavar="CLAIM", help="the user's name in a token (default sub)")
    add("--oidc-username-prefix", default="", metavar="TEXT", help="before it (default the issuer and #; - for none)")
    add("--oidc-groups-claim", default="", metavar="CLAIM", help="the user's groups in a token")
    add("--oidc-groups-prefix", default="", metavar="TEXT", help="before each of them")
    add("--oidc-required-claim", action="append", default=[], metavar="KEY=VALUE", help="what a token must say, too")
    add("--authentication-config", metavar="FILE", help="several issuers: an AuthenticationConfiguration")
    add("--oidc-ca-file", default="", metavar="FILE", help="the authority of its certificate (default: the system's)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_run)
    parser.description = "Run one component in this process and join it to a running cluster."
    parser.add_argument(
        "component",
        choices=("node", "scheduler", "controller-manager", "cloud-controller-manager"),
        help="node is a kubelet, a proxy and a container runtime together",
    )
    parser.add_argument(
        "--join", required=True, metavar="FILE", help="the join file that `cluster` wrote (DIR/join.json)"
    )
    parser.add_argument("--name", metavar="NAME", help="a name that no other member of the cluster has, such as node-4")
    parser.add_argument("--data", metavar="DIR", help="keep the component's state here")
    parser.add_argument("--scheduler-config", metavar="FILE", help="of a scheduler: that of the cluster's own")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")


def _add_guests(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_guests)
    parser.description = (
        "List those who may join the cluster (`actorkube run --join`), make a join file for one more, or revoke one: "
        "its certificates are refused from then on, and its connections end. A revocation is final."
    )
    parser.add_argument("action", choices=("list", "add", "revoke"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as node-4")
    parser.add_argument("--data", metavar="DIR", help="the cluster's data directory (default: of kubectl's cluster)")


def _add_time(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_time)
    parser.description = (
        "Look at the cluster's clock, or move it: show, pause, resume, step, settle, advance DURATION, or a rate (x10)."
    )
    parser.add_argument("words", nargs="*", metavar="WHAT", help="default: show")
    parser.add_argument("--data", metavar="DIR", help="the cluster's data directory (default: of kubectl's cluster)")


def _add_host(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_host)
    parser.description = (
        "Kill a host, or all hosts of a node, as a loss of power would; start them again (with --time virtual). "
        "Cut hosts off from each other, or from everybody else; set their clocks ahead or behind; heal that."
    )
    parser.add_argument("action", choices=("list", "kill", "start", "partition", "skew", "heal"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as etcd-0 or node-3; skew: and a time, as 5m")
    parser.add_argument("--one-way", action="store_true", help="partition: only what the first says is lost")
    parser.add_argument("--behind", action="store_true", help="skew: behind the others, not ahead")
    parser.add_argument("--data", metavar="DIR", help="the cluster's data directory (default: of kubectl's cluster)")


def _add_sim(parser: argparse.ArgumentParser) -> None:
    from actorkube.cli.sim import add_arguments

    parser.set_defaults(command=_sim)
    add_arguments(parser)


def _add_top(parser: argparse.ArgumentParser) -> None:
    from actorkube.cli import watched

    parser.set_defaults(command=_top)
    parser.description = "Show what each actor of a running cluster does, or of systems of your own. Ctrl-C ends it."
    add = parser.add_argument
    add("--once", action="store_true", help="one look, as plain text; so it is wherever standard output is no terminal")
    add("--interval", type=_seconds, default=1.0, metavar="TIME", help="between two looks (default 1s)")
    add("--sort", choices=("rate", "actor", "mailbox"), default="rate", help="of the actors")
    add("--by", choices=("actor", "process"), help="a line an actor (default) or a process; one look shows both")
    watched.add_arguments(parser)


TRACE = """\
what:
  why KIND/NAME          from an object back to the request that caused it, one line a hop (-n NAMESPACE);
                         why a pod is on its node, or on none: `actorkube why`
  get RESOURCE [NAME]    do one request, followed: the tree of what it led to; also a path (/api/v1/nodes)
  list                   the newest traces
  show ID                one of them, as a tree
  export FILE [ID]       spans as OpenTelemetry reads them (OTLP in JSON)
  on [SHARE], off        begin traces from now on, for this share of what happens (default: all)
"""


def _add_trace(parser: argparse.ArgumentParser) -> None:
    from actorkube.cli import watched

    parser.set_defaults(command=_trace)
    parser.description = "Follow what happens in a running cluster, or in systems of your own, from actor to actor."
    parser.epilog = TRACE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("words", nargs="+", metavar="WHAT")
    add("-n", "--namespace", default="default")
    add("--latest", action="store_true", help="why: of its latest change, not of its creation")
    add("--revision", type=int, default=0, help="why: of this resourceVersion")
    watched.add_arguments(parser)


def _add_why(parser: argparse.ArgumentParser) -> None:
    from actorkube.cli.planning_options import add_why

    parser.set_defaults(command=_why)
    add_why(parser)


def _add_whatif(parser: argparse.ArgumentParser) -> None:
    from actorkube.cli.planning_options import add_whatif

    parser.set_defaults(command=_whatif)
    add_whatif(parser)


def _add_etcd(parser: argparse.ArgumentParser) -> None:
    from actorkube.cli.etcd import add_commands

    add_commands(parser)


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_version)


def _cluster(options: argparse.Namespace) -> int:
    from actorkube.cli.cluster import command

    return command(options)


def _run(options: argparse.Namespace) -> int:
    from actorkube.cli.run import command

    return command(options)


def _guests(options: argparse.Namespace) -> int:
    from actorkube.cli.guests import command

    return command(options)


def _time(options: argparse.Namespace) -> int:
    from actorkube.cli.time import time_command

    return time_command(options)


def _host(options: argparse.Namespace) -> int:
    from actorkube.cli.host import command

    return command(options)


def _sim(options: argparse.Namespace) -> int:
    from actorkube.cli.sim import command

    return command(options)


def _top(options: argparse.Namespace) -> int:
    from actorkube.cli.top import command

    return command(options)


def _trace(options: argparse.Namespace) -> int:
    from actorkube.cli.trace import command

    return command(options)


def _why(options: argparse.Namespace) -> int:
    from actorkube.cli.why import command

    return command(options)


def _whatif(options: argparse.Namespace) -> int:
    from actorkube.cli.whatif import command

    return command(options)


def _version(options: argparse.Namespace) -> int:
    from actorkube import __version__

    print(f"actorkube {__version__}")
    return 0


def _count(least: int, most: int) -> type[int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse  # type: ignore[return-value]


def _components(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := sorted(names - set(_REPLACEABLE)):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(_REPLACEABLE)}")
    return names


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return share


def _seconds(text: str) -> float:
    """`50s`, `5m`, `1h30m`, or plain seconds; more than none."""
    from actorkube.runtime.duration import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 1ns to 277h")
    return seconds
