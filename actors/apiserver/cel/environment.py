"""Where the API server's expressions are compiled: they have all functions, those of formats and the authorizer too."""

from __future__ import annotations

from actorkube.cel import engine
from actorkube.cel.library import BASE
from actors.apiserver.cel import authorization, formats


class Environment(engine.Environment):
    functions = (*BASE, formats.FUNCTIONS, authorization.FUNCTIONS)
