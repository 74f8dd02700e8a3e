"""Bugs of expressions in CEL: what compiles, what it costs, and what comes of it."""

from __future__ import annotations

from tests.planted.bug import Bug

_RULES = "tests/apiserver/custom/test_rules.py"
_LIST_TYPES = "tests/apiserver/custom/test_list_types.py"
_COSTS = "tests/apiserver/custom/test_costs.py"
_EXPRESSIONS = "tests/apiserver/custom/test_expressions.py"
_REFUSED = f"{_EXPRESSIONS}::test_expressions_are_refused_as_kubernetes_refuses_them"

EXPRESSIONS = [
    Bug(
        "cel: a text that is no duration is found when it is evaluated",
        "actorkube/cel/literals.py",
        '"duration": _is_no_duration, ',
        "",
        _REFUSED,
    ),
    Bug(
        "cel: parts of a list may be of any types",
        "actorkube/cel/literals.py",
        "        if type != types[0]:\n",
        "        if False:\n",
        _REFUSED,
    ),
    Bug(
        "cel: a format is not counted",
        "actorkube/cel/literals.py",
        "    if used < len(given):\n",
        "    if False:\n",
        _REFUSED,
    ),
    Bug(
        "cel: whose method it is does not stand before the dot",
        "actorkube/cel/words.py",
        '    return f"{before}{target}.({rest})\'"',
        '    return f"{before}({target}, {rest})\'"',
        _REFUSED,
    ),
    Bug(
        "cel: a path may lead nowhere",
        "actors/apiserver/cel/validations.py",
        "        if below is None:\n            return None\n        found",
        "        if below is None:\n            return path\n        found",
        f"{_EXPRESSIONS}::test_a_path_leads_to_a_field",
    ),
    Bug(
        "cel: the field of a map's entry is a property's",
        "actors/apiserver/cel/validations.py",
        'f".{name}" if name in node.properties else f"[{name}]"',
        'f".{name}"',
        f"{_EXPRESSIONS}::test_an_error_is_at_the_field_that_the_rule_names",
    ),
    Bug(
        "cel: reserved words are no fields",
        "actors/apiserver/cel/declared.py",
        "return (escape(name), name) if",
        "return (escape(name),) if",
        f"{_EXPRESSIONS}::test_reserved_words_are_fields_behind_a_dot",
    ),
    Bug(
        "cel: a default need not keep the rules",
        "actors/apiserver/rules/validate/rules.py",
        "            if node.has_default:\n",
        "            if False:\n",
        f"{_EXPRESSIONS}::test_a_default_is_held_against_the_rules",
    ),
    Bug(
        "cost: what is chosen by a condition is taken to be as large as can be, and definitions in use are refused",
        "actors/apiserver/cel/cost.py",
        'let in by that."""\n        return (*path, step)',
        'let in by that."""\n        return (*path, step) if path else ()',
        f"{_COSTS}::test_an_estimate_is_that_of_kubernetes",
    ),
    Bug(
        "cost: two addresses are compared character by character, of which there may be any number",
        "actors/apiserver/cel/cost.py",
        'case "equals" if all(self._types[each.id].message_type.startswith(OWN) for each in args):',
        'case "equals" if False:',
        f"{_COSTS}::test_an_estimate_is_that_of_kubernetes",
    ),
    Bug(
        "quantities are numbers of 64 bits",
        "actorkube/cel/quantities.py",
        '    return {"Quantity": str(nanos)}\n',
        '    return {"Quantity": nanos}\n',
        f"{_RULES}::test_values_are_what_their_schema_says",
    ),
    Bug(
        "numbers of different types are not compared",
        "actorkube/cel/engine.py",
        "return [*cls._extensions(typed=typed), comparisons()]",
        "return [*cls._extensions(typed=typed)]",
        f"{_RULES}::test_values_are_what_their_schema_says",
    ),
    Bug(
        "a list that is a map is compared by its keys alone",
        "actorkube/cel/list_types.py",
        'or (shape.list_type == "map" and not equal(known[key], item, rest))',
        "",
        f"{_LIST_TYPES}::test_order_does_not_matter_where_a_list_is_a_set_or_a_map",
    ),
    Bug(
        "what is on the right of a sum of maps is there already, so it stays as it was",
        "actorkube/cel/list_types.py",
        'if shape.list_type == "map" or key not in found:',
        "if key not in found:",
        f"{_LIST_TYPES}::test_the_right_sides_item_takes_the_place_of_the_one_with_its_keys",
    ),
    Bug(
        "nobody knows what a loop goes over",
        "actorkube/cel/provenance.py",
        "two: over.rest if over is not None else None",
        "two: None",
        f"{_LIST_TYPES}::test_order_does_not_matter_where_a_list_is_a_set_or_a_map",
    ),
    Bug(
        "an item that is true is the same as 1",
        "actorkube/cel/list_types.py",
        "    return isinstance(value, bool), value",
        "    return value",
        f"{_LIST_TYPES}::test_what_python_takes_for_equal_is_not",
    ),
    Bug(
        "a rule about a change is asked of what is new",
        "actors/apiserver/cel/validations.py",
        "            if rule.uses_old and old is _ABSENT and not rule.optional:",
        "            if False:",
        f"{_RULES}::test_a_transition_rule_holds_for_changes_only",
    ),
    Bug(
        "items of a keyed list are compared by their place",
        "actors/apiserver/cel/validations.py",
        "    return tuple(item.get(key) for key in node.keys) if isinstance(item, dict) else ()",
        "    return ()",
        f"{_RULES}::test_items_of_a_list_are_told_apart_by_their_keys",
    ),
    Bug(
        "times are texts to a rule",
        "actors/apiserver/cel/declared.py",
        '    return _CONVERSIONS.get(node.schema.get("format") or "") if node.type == "string" else None',
        "    return None",
        f"{_RULES}::test_values_are_what_their_schema_says",
    ),
    Bug(
        "a loop costs no more than its body",
        "actors/apiserver/cel/cost.py",
        "        cost += self.cost(loop.result) + count * each",
        "        cost += self.cost(loop.result) + each",
        f"{_COSTS}::test_an_estimate_is_that_of_kubernetes",
    ),
    Bug(
        "an expression that is too expensive is evaluated all the same",
        "actors/apiserver/cel/budget.py",
        "        if cost > PER_EVALUATION_MAX:",
        "        if False:",
        f"{_COSTS}::test_one_evaluation_that_is_too_expensive_is_not_begun",
    ),
    Bug(
        "what an evaluation has cost is forgotten",
        "actors/apiserver/cel/budget.py",
        "        self._left -= cost",
        "        self._left -= 0",
        f"{_COSTS}::test_the_rules_of_one_object_share_a_budget",
    ),
    Bug(
        "rules are asked of an object of the wrong types",
        "actors/apiserver/custom/version.py",
        "        if any(map(_is_blocking, found)):",
        "        if False:",
        f"{_RULES}::test_objects_are_judged_by_the_rules_of_their_definition",
    ),
]
