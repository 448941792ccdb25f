"""Random people, groups, grants, limited tokens and objects: the guard allows what thirty slow lines allow, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelbox.entities.records import Role
from modelbox.errors import NotFound, PermissionDenied
from modelbox.wire import access as a
from modelbox.wire import messages as m
from modelbox_server.service.context import Caller
from modelbox_server.service.people import Person
from modelbox_server.service.tokens import token_digest
from modelbox_server.wiring import Services, ephemeral_services

OPERATOR = Caller("root", "http")
USERS = ("ann", "bo", "bob")
GROUPS = ("g", "gg")
PATHS = (
    "~ann",
    "~ann/x",
    "~bo",
    "~bob",
    "group/g",
    "group/g/x",
    "group/gg",
    "public",
    "public/p",
    "publicity",
    "team",
    "team/a",
    "team/ab",
)
RANKS = {Role.READER: 1, Role.WRITER: 2, Role.ADMIN: 3}
_moments = count()
roles = st.sampled_from(list(Role))
principals = st.sampled_from([*(f"user:{user}" for user in USERS), *(f"group:{group}" for group in GROUPS), "everyone"])


@dataclass(frozen=True)
class Limits:
    """What a token is limited to."""

    role: Role | None
    namespaces: tuple[str, ...]


# --- the reference: no clever paths, no narrowing, no transactions -----------------------------------------------------------------------


def is_in(namespace: str, above: str) -> bool:
    steps, wanted = namespace.split("/"), [step for step in above.split("/") if step]
    return steps[: len(wanted)] == wanted


def allowed(user: str, groups: frozenset[str], grants: dict[tuple[str, str], Role], limits: Limits | None, namespace: str) -> int:
    """Return the rank of what a person may do in a namespace: 0 for nothing, 3 for everything."""
    ranks = [0]
    if is_in(namespace, f"~{user}"):
        ranks.append(3)
    if is_in(namespace, "public"):
        ranks.append(1)
    ranks += [2 for group in groups if is_in(namespace, f"group/{group}")]
    for (path, principal), role in grants.items():
        is_mine = principal in {"everyone", f"user:{user}"} or principal in {f"group:{group}" for group in groups}
        if is_mine and is_in(namespace, "" if path == "/" else path):
            ranks.append(RANKS[role])
    rank = max(ranks)
    if limits is not None:
        within = not limits.namespaces or any(is_in(namespace, path) for path in limits.namespaces)
        rank = min(rank, RANKS[limits.role] if limits.role else 3) if within else 0
    return rank


# --- the product -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    services = ephemeral_services()
    for path in PATHS:
        services.experiments.create(OPERATOR, m.ExperimentCreate(name="e", namespace=path))
        services.models.create(OPERATOR, m.ModelCreate(name="m", namespace=path))
    yield services
    services.close()


def caller_of(services: Services, user: str, groups: frozenset[str], limits: Limits | None) -> Caller:
    services.people.forget()
    if limits is None:
        return services.people.caller(Person(user, tuple(sorted(groups))), face="http")
    made = services.tokens.create(
        OPERATOR, a.TokenCreate(name="t", user=user, groups=sorted(groups), role=limits.role, namespaces=list(limits.namespaces))
    )
    return services.people.caller_by_token(token_digest(made.token), face="http")


def rank_of(call: object) -> str:
    try:
        call()  # type: ignore[operator]
    except NotFound:
        return "not found"
    except PermissionDenied:
        return "denied"
    return "done"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    user=st.sampled_from(USERS),
    groups=st.frozensets(st.sampled_from(GROUPS)),
    grants=st.dictionaries(st.tuples(st.sampled_from([*PATHS, "/"]), principals), roles, max_size=4),
    limits=st.none()
    | st.builds(Limits, role=st.none() | roles, namespaces=st.lists(st.sampled_from(PATHS), max_size=2, unique=True).map(tuple)),
)
def test_the_guard_allows_what_the_reference_allows(
    services: Services, user: str, groups: frozenset[str], grants: dict[tuple[str, str], Role], limits: Limits | None
) -> None:
    for (path, principal), role in grants.items():
        services.grants.grant(OPERATOR, a.GrantRequest(namespace=path, principal=principal, role=role))
    try:
        caller = caller_of(services, user, groups, limits)
        ranks = {path: allowed(user, groups, grants, limits, path) for path in PATHS}
        seen = services.experiments.list(caller, m.ExperimentsQuery()).items
        assert {run.namespace for run in seen} == {path for path in PATHS if ranks[path]}
        assert {model.namespace for model in services.models.list(caller, m.ModelsQuery()).items} == {run.namespace for run in seen}
        for run in services.experiments.list(OPERATOR, m.ExperimentsQuery()).items:
            rank = ranks[run.namespace]
            assert rank_of(lambda: services.experiments.get(caller, run.id)) == ("done" if rank else "not found")  # noqa: B023
            change = m.MetadataDocument(metadata={"at": next(_moments)})
            written = rank_of(lambda: services.metadata.update(caller, run.id, change))  # noqa: B023
            assert written == ("not found", "denied", "done", "done")[rank]
            grant = a.GrantRequest(namespace=run.namespace, principal="user:nobody", role=Role.READER)
            granted = rank_of(lambda: services.grants.grant(caller, grant))  # noqa: B023
            assert granted == ("not found", "denied", "denied", "done")[rank]
    finally:
        for path, principal in grants:
            services.grants.revoke(OPERATOR, a.GrantRevoke(namespace=path, principal=principal))
