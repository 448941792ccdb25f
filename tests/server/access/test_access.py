"""Roles on subtrees add up, and a token sees no more than both its owner's rights and its own limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbox.entities.records import Role
from modelbox.errors import NotFound, PermissionDenied
from modelbox_server.service.access import EVERYTHING, NOTHING, Access

RANKS = {None: 0, Role.READER: 1, Role.WRITER: 2, Role.ADMIN: 3}
PATHS = ["", "a", "ab", "a/b", "a/b/c", "a/bc", "~a", "~a/b"]
accesses = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(list(Role)), max_size=4).map(Access)
paths = st.sampled_from(PATHS[1:])


def rank(access: Access, path: str) -> int:
    """What holds at a path, said once more and slowly."""
    steps = path.split("/")
    above = ["", *("/".join(steps[: i + 1]) for i in range(len(steps)))]
    return max(RANKS[access.roles.get(prefix)] for prefix in above)


@given(accesses, paths, st.sampled_from(list(Role)))
def test_a_role_holds_where_it_was_granted_and_below(access: Access, path: str, role: Role) -> None:
    assert access.has(role, path) == (rank(access, path) >= RANKS[role])


@given(accesses, accesses, paths)
def test_a_limited_access_allows_what_both_allow(one: Access, other: Access, path: str) -> None:
    assert rank(one.within(other), path) == min(rank(one, path), rank(other, path))


@given(accesses, paths)
def test_the_topmost_namespaces_say_the_same(access: Access, path: str) -> None:
    covered = any(top in {"", path} or path.startswith(f"{top}/") for top in access.readable)
    assert covered == access.has(Role.READER, path)
    assert not any(one != other and (one == "" or other.startswith(f"{one}/")) for one in access.readable for other in access.readable)


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(list(Role)))), paths)
def test_grants_add_up(grants: list[tuple[str, Role]], path: str) -> None:
    best = max((RANKS[role] for at, role in grants if at in {"", path} or path.startswith(f"{at}/")), default=0)
    assert rank(Access.of(grants), path) == best


def test_what_may_not_be_read_is_not_there_and_what_may_be_read_only_says_so() -> None:
    access = Access({"team": Role.READER})
    with pytest.raises(NotFound, match="There is no namespace '~bob' for you"):
        access.require(Role.WRITER, "~bob", "write")
    with pytest.raises(PermissionDenied, match="You may not write in 'team/x': ask its admin for the role writer there"):
        access.require(Role.WRITER, "team/x", "write")
    access.require(Role.READER, "team/x", "read")


def test_everything_and_nothing() -> None:
    assert EVERYTHING.is_everything
    assert EVERYTHING.has(Role.ADMIN, "any/where")
    assert not NOTHING.has(Role.READER, "public")
    assert not Access({"": Role.WRITER}).is_everything
