"""A file of bearer tokens, as kube-apiserver's --token-auth-file: `token,user,uid,"group1,group2"`, one a line."""

from __future__ import annotations

import csv

from actors.apiserver.callers import AUTHENTICATED, Caller


class TokenFileError(ValueError):
    """What is wrong in which line."""


def read_tokens(text: str, file: str) -> dict[str, Caller]:
    """The callers by their tokens. Raises TokenFileError."""
    tokens: dict[str, Caller] = {}
    rows = csv.reader(text.splitlines(), strict=True, skipinitialspace=True)
    try:
        for row in rows:
            if row:
                token, caller = _row(row, f"{file}, line {rows.line_num}")
                if token in tokens:
                    raise TokenFileError(f"{file}, line {rows.line_num}: this token is there already")
                tokens[token] = caller
    except csv.Error as error:
        raise TokenFileError(f"{file}, line {rows.line_num}: {error}") from None
    return tokens


def _row(row: list[str], where: str) -> tuple[str, Caller]:
    if len(row) < 3:
        raise TokenFileError(f"{where}: at least token, user name and user uid, in 3 columns, found {len(row)}")
    token, user, uid = (cell.strip() for cell in row[:3])
    if not token or not user:
        raise TokenFileError(f"{where}: the {'user name' if token else 'token'} is empty")
    groups = [group.strip() for group in (row[3] if len(row) > 3 else "").split(",")]
    return token, Caller(user, (*(group for group in groups if group), AUTHENTICATED), uid)
