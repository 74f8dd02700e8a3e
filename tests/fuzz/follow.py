"""One target under atheris, which looks for bytes that reach new code.

python -m tests.fuzz.follow inbox CORPUS -runs=1000
"""

from __future__ import annotations

import sys

import atheris

READERS = ["protocols", "actorkube.runtime.wire", "actorkube.runtime.greeting", "hpack", "actors.etcd"]

with atheris.instrument_imports(include=READERS):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
