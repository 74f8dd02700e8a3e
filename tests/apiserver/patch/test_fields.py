"""The algebra of field sets, against Python's own sets of paths."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.patch.fields import (
    difference,
    in_order,
    intersection,
    is_member,
    make_node,
    normal,
    paths,
    show_path,
    union,
)
from tests.effort import examples

Paths = frozenset[tuple[str, ...]]

steps = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
path_sets = st.frozensets(st.lists(steps, min_size=1, max_size=3).map(tuple), max_size=6)


def tree(wanted: Paths) -> dict:
    """The tree of a set of paths, made the slow way: one node for each prefix."""
    children: dict = {}
    for step in sorted({path[0] for path in wanted}):
        below = frozenset(path[1:] for path in wanted if path[0] == step and len(path) > 1)
        children[step] = make_node((step,) in wanted, tree(below))
    return children


@settings(deadline=None)
@given(path_sets)
def test_a_tree_has_the_paths_it_was_made_of(wanted: Paths) -> None:
    assert frozenset(paths(tree(wanted))) == wanted


@settings(max_examples=examples(100), deadline=None)
@given(path_sets, path_sets)
def test_the_operations_are_those_of_sets_of_paths(one: Paths, other: Paths) -> None:
    first, second = tree(one), tree(other)

    assert frozenset(paths(union(first, second))) == one | other
    assert frozenset(paths(difference(first, second))) == one - other
    assert frozenset(paths(intersection(first, second))) == one & other


@settings(deadline=None)
@given(path_sets, path_sets)
def test_the_operations_leave_no_empty_branches_and_do_not_change_their_arguments(one: Paths, other: Paths) -> None:
    first, second = tree(one), tree(other)

    results = [union(first, second), difference(first, second), intersection(first, second)]

    assert [in_order(result) for result in results] == [tree(frozenset(paths(result))) for result in results]
    assert (first, second) == (tree(one), tree(other))


def test_an_item_is_in_the_set_without_what_is_below_it() -> None:
    fields = {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}

    left = difference(fields, {"f:containers": {'k:{"name":"web"}': {}}})

    assert left == {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}
    assert not is_member(left["f:containers"]['k:{"name":"web"}'])


def test_paths_are_shown_as_kubernetes_shows_them() -> None:
    path = ("f:spec", "f:containers", 'k:{"containerPort":80,"name":"web"}', "f:args", 'v:"-v"', "i:0")

    assert show_path(path) == '.spec.containers[containerPort=80,name="web"].args[="-v"][0]'


def test_other_spellings_of_a_step_are_understood() -> None:
    assert normal({'k:{"protocol": "TCP", "port": 80}': {}}) == {'k:{"port":80,"protocol":"TCP"}': {}}
