"""Label and field selectors: parsed from their string form, or from a LabelSelector, and matched against objects.

A selector is a list of requirements that must all hold. `!=`, `notin` also hold for an object that lacks the label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from protocols.rules.label_forms import label_key, label_value

Operator = Literal["in", "notin", "exists", "!", "gt", "lt"]

_EXPRESSION_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)")
_SYMBOLS = "=!<>(),"
_WHOLE = re.compile("[-+]?[0-9]+")
_FIELD_TERMS = re.compile(r"(?:[^\\,]|\\.|\\$)+")
_FIELD_TERM = re.compile(r"((?:[^\\=!,]|\\.)+)(==|!=|=)((?:[^\\=,]|\\[\\,=])*)")
# What an absent field means, where Kubernetes prints a default and not the empty string.
_FIELD_DEFAULTS = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0"}


class InvalidSelector(ValueError):
    """The text is no selector; the message says where it stops being one."""


class Requirement(NamedTuple):
    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "gt" | "lt":
                return value is not None and number_relates(value, self.operator, self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "in" | "notin" if len(self.values) == 1:
                return f"{self.key}{'=' if self.operator == 'in' else '!='}{self.values[0]}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"


class FieldRequirement(NamedTuple):
    path: str
    operator: Literal["=", "!="]
    value: str

    def matches(self, obj: Mapping[str, Any]) -> bool:
        return (field_value(obj, self.path) == self.value) == (self.operator == "=")


def parse_label_selector(text: str) -> list[Requirement]:
    """`a=b,c!=d,e in (x,y),!f,g notin (z),h`. Empty text selects everything. Raises InvalidSelector."""
    tokens = _tokens(text)
    if not tokens:
        return []
    if not _opens(tokens[-1]):
        raise InvalidSelector(f"found '{tokens[-1]}', expected: !, identifier, or 'end of string'")
    requirements: list[Requirement] = []
    while True:
        try:
            requirements.append(_requirement(tokens))
        except InvalidSelector as error:
            raise InvalidSelector(f"unable to parse requirement: {error}") from None
        if not tokens:
            return requirements
        if (found := tokens.pop()) != ",":
            raise InvalidSelector(f"found '{found}', expected: ',' or 'end of string'")
        if not tokens or not _opens(tokens[-1]):
            raise InvalidSelector(f"found '{tokens[-1] if tokens else ''}', expected: identifier after ','")


def labels_match(requirements: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    return all(requirement.matches(labels) for requirement in requirements)


def selector_requirements(selector: Mapping[str, Any]) -> list[Requirement]:
    """The requirements of a LabelSelector (matchLabels, matchExpressions). Raises InvalidSelector."""
    requirements = [Requirement(key, "in", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _EXPRESSION_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise InvalidSelector(f"{expression.get('operator')!r} is not a valid label selector operator")
        requirements.append(Requirement(expression["key"], operator, tuple(expression.get("values") or ())))
    return requirements


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector against labels: no selector (None) matches nothing, an empty one everything."""
    return selector is not None and labels_match(selector_requirements(selector), labels)


def map_matches(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """The plain map of a Service or ReplicationController: an empty or absent one matches nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in (selector or {}).items())


def format_label_selector(selector: Mapping[str, Any]) -> str:
    """A LabelSelector in its string form, keys in order, as `scale` and `kubectl get -o wide` show it."""
    return ",".join(str(requirement) for requirement in sorted(selector_requirements(selector)))


def parse_field_selector(text: str) -> list[FieldRequirement]:
    r"""`spec.nodeName=n1,status.phase!=Running`; `\,`, `\=` and `\\` stand for themselves in values."""
    requirements = []
    for term in _FIELD_TERMS.findall(text):
        match = _FIELD_TERM.fullmatch(term)
        if match is None:
            raise InvalidSelector(f"invalid selector: '{text}'; can't understand '{term}'")
        value = re.sub(r"\\([\\,=])", r"\1", match[3])
        requirements.append(FieldRequirement(match[1], "!=" if match[2] == "!=" else "=", value))
    return requirements


def fields_match(requirements: Iterable[FieldRequirement], obj: Mapping[str, Any]) -> bool:
    return all(requirement.matches(obj) for requirement in requirements)


def field_value(obj: Mapping[str, Any], path: str) -> str:
    """The field at a dotted path as field selectors compare it: text; absent is "" or the field's default."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return _FIELD_DEFAULTS.get(path, "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def number_relates(value: str, operator: Literal["gt", "lt"], bound: str) -> bool:
    """Gt and Lt compare whole numbers; anything else does not match."""
    try:
        return int(value) > int(bound) if operator == "gt" else int(value) < int(bound)
    except ValueError:
        return False


def check_label_key(key: str) -> None:
    """Raises InvalidSelector with Kubernetes' words when `key` is no label key."""
    if problems := list(label_key(key)):
        raise InvalidSelector(f'Invalid value: "{key}": {"; ".join(problems)}')


def _tokens(text: str) -> list[str]:
    """The tokens of a label selector, last first: a stack to pop from."""
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        assert match is not None  # every character that is not a space begins a token
        tokens.append(match[1])
        position = match.end()
    return tokens[::-1]


def _opens(token: str) -> bool:
    """Whether a requirement begins with it."""
    return token == "!" or token[0] not in _SYMBOLS


def _requirement(tokens: list[str]) -> Requirement:
    negated = tokens[-1] == "!"
    if negated:
        tokens.pop()
    key = _word(tokens)
    try:
        check_label_key(key)
    except InvalidSelector as error:
        raise InvalidSelector(f"<nil>: {error}") from None  # of no field, as Go prints one
    if negated or not tokens or tokens[-1] == ",":
        return Requirement(key, "!" if negated else "exists")
    match tokens.pop():
        case "=" | "==":
            return Requirement(key, "in", _checked(key, [_value(tokens)]))
        case "!=":
            return Requirement(key, "notin", _checked(key, [_value(tokens)]))
        case "in":
            return Requirement(key, "in", _checked(key, _value_list(tokens)))
        case "notin":
            return Requirement(key, "notin", _checked(key, _value_list(tokens)))
        case (">" | "<") as sign:
            return Requirement(key, "gt" if sign == ">" else "lt", _checked(key, [_value(tokens)], whole=True))
        case other:
            raise InvalidSelector(f"found '{other}', expected: in, notin, =, ==, !=, gt, lt")


def _word(tokens: list[str], expected: str = "identifier") -> str:
    word = tokens.pop() if tokens else ""
    if not word or word[0] in _SYMBOLS:
        raise InvalidSelector(f"found '{word}', expected: {expected}")
    return word


def _value(tokens: list[str]) -> str:
    """What follows a sign; `a=` and `a=,b` have an empty one."""
    return "" if not tokens or tokens[-1] == "," else _word(tokens)


def _value_list(tokens: list[str]) -> list[str]:
    if (found := tokens.pop() if tokens else "") != "(":
        raise InvalidSelector(f"found '{found}' expected: '('")
    values: list[str] = []
    while True:
        expected = "',', or identifier" if values else "',', ')' or identifier"
        values.append("" if tokens and tokens[-1] in ",)" else _word(tokens, expected))
        if (separator := tokens.pop() if tokens else "") == ")":
            return values
        if separator != ",":
            raise InvalidSelector(f"found '{separator}', expected: ',' or ')'")


def _checked(key: str, values: Sequence[str], *, whole: bool = False) -> tuple[str, ...]:
    """`whole`: a number that others are compared with."""
    errors = []
    if whole and not _WHOLE.fullmatch(values[0]):
        rule = "for 'Gt', 'Lt' operators, the value must be an integer"
        errors.append(f'values[0]: Invalid value: "{values[0]}": {rule}')
    for number, value in enumerate(sorted(values)):
        if problems := list(label_value(value)):
            errors.append(f'values[{number}][{key}]: Invalid value: "{value}": {"; ".join(problems)}')
    if errors:
        raise InvalidSelector(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")
    return tuple(values)
