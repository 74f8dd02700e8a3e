"""What a message or an error is called on the wire: by its module, so that two authors may choose the same word.

What this package declares is known by its plain name; `Watch` of a module `shop` is `shop.Watch`. A script that is run
(`__main__`) counts as the module that others import it as.
"""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = __name__.rpartition(".")[0]


def wire_name(cls: type) -> str:
    module = cls.__module__
    if module.startswith(f"{PACKAGE}."):
        return cls.__qualname__
    return f"{_script() if module == '__main__' else module}.{cls.__qualname__}"


def _script() -> str:
    """`python -m shop.serve` is shop.serve, `python serve.py` is serve."""
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec is not None else Path(file or "__main__").stem
