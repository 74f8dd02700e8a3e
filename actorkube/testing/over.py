"""What `settled` and `advance` return: a plain function need not look at it, a coroutine may await it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


class Over:
    """It has happened already."""

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield
