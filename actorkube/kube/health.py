"""/healthz, /livez and /readyz in the words of Kubernetes: what was looked at, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

KINDS = ("/healthz", "/livez", "/readyz")


def report(path: str, checks: Mapping[str, bool], verbose: bool, excluded: Sequence[str]) -> tuple[int, str] | None:
    """Code and text for `/livez` or `/livez/CHECK`; None where there is no such check. `excluded` do not count, unless
    one is asked for by itself: then nothing is said of it but whether it is good."""
    kind, slash, check = path[1:].partition("/")
    if slash:
        if check not in checks:
            return None
        verbose, excluded, checks = False, (), {check: checks[check]}
    failed = [name for name, good in checks.items() if not good and name not in excluded]
    if not (verbose or failed):
        return 200, "ok"
    lines = [_line(name, good, name in excluded) for name, good in checks.items()]
    unknown = [name for name in excluded if name not in checks]
    if unknown:
        quoted = ", ".join(f'"{name}"' for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
    lines.append(f"{kind} check {'failed' if failed else 'passed'}")
    return (500 if failed else 200), "\n".join(lines) + "\n"


def _line(name: str, good: bool, excluded: bool) -> str:
    if excluded:
        return f"[+]{name} excluded: ok"
    return f"[+]{name} ok" if good else f"[-]{name} failed: reason withheld"
