"""Which machine was it, what ran on it, and was it busy with something else?"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

BUSY = 0.5  # load average of a machine that does something else


def machine() -> str:
    """One line: CPU, cores, memory, system."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def cpu() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def versions(*packages: str) -> str:
    """Python's version, how it was built, and the versions of the packages that are installed."""
    known = [f"Python {platform.python_version()} ({build()})"]
    for package in packages:
        try:
            known.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(known)


def build() -> str:
    """Whether this Python was built with optimisation, as `./dev setup` tells it: up to a third of a figure."""
    optimised = "--enable-opt" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return "optimised build" if optimised or sys.base_prefix == "/usr" else "not an optimised build"


def erlang() -> str:
    """The release of Erlang/OTP; empty when it is not installed."""
    if not shutil.which("erl"):
        return ""
    expression = "io:format(erlang:system_info(otp_release)), halt()."
    run = subprocess.run(["erl", "-noshell", "-eval", expression], capture_output=True, text=True, check=True)
    return f"Erlang/OTP {run.stdout}"


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def load() -> float:
    return os.getloadavg()[0]


def business(load_before: float) -> str:
    """A sentence about what else the machine did."""
    if load_before < BUSY:
        return f"The machine did nothing else (load average {load_before:.1f} before the start)."
    return (
        f"**The machine was busy with other work (load average {load_before:.1f} before the start): "
        "the rates are lower than they could be, and the ratios scatter.**"
    )
