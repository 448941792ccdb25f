"""Nobody has more, or goes faster, than they may, and whoever is stopped loses nothing and is told why."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import modelbox
from modelbox.entities.records import Role
from modelbox.entities.times import now
from modelbox.errors import InvalidQuery, InvalidRequest, PermissionDenied, QuotaExceeded, RateLimited, TooLarge
from modelbox.wire import access as a
from modelbox.wire import messages as m
from modelbox.wire.limits import LimitSet, LimitShown, LimitsQuery
from modelbox_server.grpc.schema import message
from modelbox_server.observing.meters import Meters
from modelbox_server.service.context import Caller
from modelbox_server.service.fair_use import FairUse
from modelbox_server.service.limits import Limits, LimitsService
from modelbox_server.service.people import Person
from modelbox_server.service.rates import Buckets
from modelbox_server.service.usage import Usage
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import live_server
from modelbox_server.testing.samples import float_block
from modelbox_server.wiring import Services, StorageSettings, local_services, passing_services

OPERATOR = Caller("root", "http")


@pytest.fixture(params=["memory", "sqlite"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    memory = StorageSettings(Path(), "ephemeral", "inmemory", "filesystem")
    services = passing_services(memory, meters=Meters(process=False)) if request.param == "memory" else local_services(tmp_path)
    yield services
    services.close()


def alice(services: Services, *groups: str) -> Caller:
    services.people.forget()
    return services.people.caller(Person("alice", groups), face="http")


def run_of(services: Services, caller: Caller, name: str = "run", namespace: str = "") -> str:
    return services.experiments.create(caller, m.ExperimentCreate(name=name, namespace=namespace)).item.id


def upload(services: Services, caller: Caller, object_id: str, content: bytes, name: str = "f", *, declared: bool = False) -> str:
    query = m.ArtifactUploadQuery(name=name, size_bytes=len(content) if declared else None)
    with services.artifacts.begin_upload(caller, object_id, query) as writer:
        writer.write(content)
        return writer.commit().id


def limits_of(services: Services, subject: str) -> LimitShown:
    return services.limits.list(OPERATOR, LimitsQuery(subject=subject)).items[0]


# --- quotas ------------------------------------------------------------------------------------------------------------------------------


def test_a_user_has_as_many_experiments_as_they_may_and_what_is_there_is_found_all_the_same(services: Services) -> None:
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", experiments=2))
    first, _ = run_of(services, alice(services), "one"), run_of(services, alice(services), "two")
    with pytest.raises(QuotaExceeded) as refusal:
        run_of(services, alice(services), "three")
    assert refusal.value.detail == (
        "The user 'alice' may have 2 experiments and has 2, so there is no room for 1 more: delete some, "
        "or ask the operator of the server for more room. Nothing was stored."
    )
    assert (refusal.value.http_status, refusal.value.grpc_code, refusal.value.retry_after_s) == (507, "RESOURCE_EXHAUSTED", 60.0)
    assert run_of(services, alice(services), "one") == first
    assert len(services.experiments.list(alice(services), m.ExperimentsQuery()).items) == 2
    services.experiments.delete(alice(services), first)
    run_of(services, alice(services), "three")
    assert run_of(services, OPERATOR, "of others", "~alice/by-root")


def test_points_count_for_the_owner_and_for_every_namespace_above(services: Services) -> None:
    services.grants.grant(OPERATOR, a.GrantRequest(namespace="team", principal="user:alice", role=Role.WRITER))
    services.limits.set(OPERATOR, LimitSet(subject="namespace:team", points=10))
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=15))
    caller = alice(services)
    shared, own = run_of(services, caller, "s", "team/a/b"), run_of(services, caller, "o")
    services.metrics.append(caller, [float_block(shared, [1.0] * 8)])
    for blocks in ([float_block(shared, [1.0] * 3)], [float_block(own, [1.0]), float_block(shared, [1.0] * 3, key="k")]):
        with pytest.raises(QuotaExceeded, match=r"The namespace 'team' may have 10 points and has 8, so there is no room for 3 more"):
            services.metrics.append(caller, blocks, BatchKey("c", 1, b"d"))
    assert services.metrics.summaries(caller, m.SummariesQuery(objects=[own])).series == []
    services.metrics.append(caller, [float_block(own, [1.0] * 7)])
    with pytest.raises(QuotaExceeded, match="The user 'alice' may have 15 points and has 15"):
        services.metrics.append(caller, [float_block(own, [1.0])])
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=16))
    services.metrics.append(caller, [float_block(own, [1.0])], BatchKey("c", 1, b"d"))
    assert [(one.used_points, one.points) for one in (limits_of(services, "user:alice"), limits_of(services, "namespace:team"))] == [
        (16, 16),
        (8, 10),
    ]


def test_a_batch_that_filled_the_quota_and_comes_again_is_known_and_not_refused(services: Services) -> None:
    """Its answer may have been lost: the client would send it for ever."""
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=5))
    caller = alice(services)
    run = run_of(services, caller)
    batches = [services.metrics.append(caller, [float_block(run, [1.0] * 5)], BatchKey("c", 1, b"d")) for _ in range(2)]
    assert [one.duplicate for one in batches] == [False, True]
    with pytest.raises(QuotaExceeded):
        services.metrics.append(caller, [float_block(run, [1.0] * 5)], BatchKey("c", 2, b"e"))


def test_an_upload_that_would_be_too_much_leaves_nothing(services: Services) -> None:
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", size_bytes=10))
    caller = alice(services)
    run = run_of(services, caller)
    upload(services, caller, run, b"123456")
    for declared in (True, False):
        with pytest.raises(QuotaExceeded, match="may have 10 bytes of artifacts and has 6, so there is no room for 5 more"):
            upload(services, caller, run, b"abcde", "other", declared=declared)
    assert len(list(services.stores.blobs.keys())) == 1
    for declared in (True, False):  # what is there already takes no more room
        upload(services, caller, run, b"123456", declared=declared)
    upload(services, caller, run, b"abcd", "other")
    assert limits_of(services, "user:alice").used_bytes == 10
    services.artifacts.delete(caller, upload(services, caller, run, b"123456"))
    assert limits_of(services, "user:alice").used_bytes == 4


def test_what_another_server_wrote_counts_within_seconds(tmp_path: Path) -> None:
    one, other = local_services(tmp_path), local_services(tmp_path)
    seconds = [0.0]
    usage = Usage(other.stores.metadata, other.stores.metrics)
    limits = LimitsService(other.stores.metadata, usage, Limits(), now, lambda: seconds[0])
    fair_use = FairUse(other.stores.metadata, limits, usage, None, lambda: seconds[0])
    run = run_of(one, alice(one))
    fair_use.admit_points(alice(other), {run: 1})
    one.limits.set(OPERATOR, LimitSet(subject="user:alice", points=100))
    one.metrics.append(alice(one), [float_block(run, [1.0] * 60)])
    seconds[0] += 3
    fair_use.admit_points(alice(other), {run: 30})
    with pytest.raises(QuotaExceeded):
        fair_use.admit_points(alice(other), {run: 30})
    one.metrics.append(alice(one), [float_block(run, [1.0] * 30)])
    seconds[0] += 3
    with pytest.raises(QuotaExceeded, match="has 90"):
        fair_use.admit_points(alice(other), {run: 11})
    one.close()
    other.close()


def test_the_settings_hold_for_everybody_but_the_operator_and_whom_one_says(tmp_path: Path) -> None:
    services = passing_services(StorageSettings(tmp_path, "ephemeral", "inmemory", "filesystem", limits=Limits(experiments=1)))
    run_of(services, alice(services))
    with pytest.raises(QuotaExceeded):
        run_of(services, alice(services), "second")
    run_of(services, OPERATOR, "a")
    run_of(services, OPERATOR, "b")
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=5, experiments=0))
    run_of(services, alice(services), "second")
    shown = services.limits.set(OPERATOR, LimitSet(subject="user:alice"))
    assert (shown.experiments, shown.points) == (1, 0)
    with pytest.raises(QuotaExceeded):
        run_of(services, alice(services), "third")
    services.close()


def test_limits_are_set_by_operators_and_seen_by_whom_they_concern(services: Services) -> None:
    services.limits.set(OPERATOR, LimitSet(subject="user:bob", points=5))
    services.limits.set(OPERATOR, LimitSet(subject="namespace:group/vision", points=5))
    services.limits.set(OPERATOR, LimitSet(subject="namespace:secret", points=5))
    with pytest.raises(PermissionDenied, match="ask the operator of the server"):
        services.limits.set(alice(services), LimitSet(subject="user:alice", points=10**9))
    seen = services.limits.list(alice(services, "vision"), LimitsQuery()).items
    assert [one.subject for one in seen] == ["namespace:group/vision", "user:alice"]
    for subject in ("user:bob", "namespace:secret"):
        assert services.limits.list(alice(services), LimitsQuery(subject=subject)).items == []
    page = services.limits.list(OPERATOR, LimitsQuery(limit=3))
    assert [one.subject for one in page.items] == ["namespace:group/vision", "namespace:secret", "user:bob"]
    rest = services.limits.list(OPERATOR, LimitsQuery(limit=3, page_token=page.next_page_token))
    assert ([one.subject for one in rest.items], rest.next_page_token) == (["user:root"], None)
    with pytest.raises(InvalidQuery):
        services.limits.list(OPERATOR, LimitsQuery(page_token="x"))
    for subject in ("alice", "user:", "group:x", ""):
        with pytest.raises(InvalidRequest):
            services.limits.set(OPERATOR, LimitSet(subject=subject, points=1))
    with pytest.raises(InvalidRequest, match="A namespace has no rate"):
        services.limits.set(OPERATOR, LimitSet(subject="namespace:x", points_per_s=1))
    changes = [event for event in services.changes.list(OPERATOR, m.ChangesQuery()).items if event.object_type == "limit"]
    assert (changes[0].actor, changes[0].payload["new"]["subject"], changes[0].namespace) == ("root", "user:bob", "/")


# --- rates -------------------------------------------------------------------------------------------------------------------------------


def test_a_bucket_lets_through_what_its_rate_allows_whatever_is_taken_at_once() -> None:
    seconds = [0.0]
    buckets, taken = Buckets(lambda: seconds[0]), 0
    while seconds[0] < 100:
        wait_s = buckets.take("alice", 7, 10)
        if wait_s:
            seconds[0] += wait_s
        else:
            taken += 7
    assert 1000 <= taken <= 1000 + 20 + 7
    assert buckets.take("bob", 10**6, 10) == 0.0
    assert buckets.take("bob", 1, 10) == pytest.approx((10**6 - 20 + 1) / 10)


def test_points_come_no_faster_than_they_may_and_a_batch_is_never_stuck(services: Services) -> None:
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points_per_s=10))
    caller = alice(services)
    run = run_of(services, caller)
    services.metrics.append(caller, [float_block(run, [1.0] * 500)])
    with pytest.raises(RateLimited, match="You may log 10 points a second: go on in 4") as refusal:
        services.metrics.append(caller, [float_block(run, [1.0])])
    assert 40 < (refusal.value.retry_after_s or 0) < 50
    with pytest.raises(TooLarge, match="send at most 600 at once"):
        services.metrics.append(caller, [float_block(run, [1.0] * 601)])
    services.metrics.append(OPERATOR, [float_block(run, [1.0] * 1000)])


@pytest.fixture
def people(tmp_path: Path) -> Iterator[tuple[Services, ApiClient, Callable[[str], str], int]]:
    """Serve, and make tokens."""
    services = local_services(tmp_path)
    with live_server(lambda: services) as server:

        def token(user: str) -> str:
            return services.tokens.create(OPERATOR, a.TokenCreate(name="t", user=user)).token

        yield services, ApiClient(server.url), token, server.port


def test_too_many_calls_get_429_with_retry_after_and_then_pass(people: tuple[Services, ApiClient, Callable[[str], str], int]) -> None:
    services, client, token, port = people
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", requests_per_s=2))
    secrets = {who: token(who) for who in ("alice", "bob")}
    headers = {who: {"Authorization": f"Bearer {secret}"} for who, secret in secrets.items()}
    answers = [client.api("GET", "/access", headers=headers["alice"]) for _ in range(30)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.json["code"], refused.headers["retry-after"], refused.json["limit"]) == ("rate_limited", "1", "2 requests/s")
    assert answers[0].status == 200
    assert client.api("GET", "/access", headers=headers["bob"]).status == 200
    assert client.request("GET", "/livez").status == 200
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/modelbox.ModelStore/ListExperiments")
        asked = message("ListExperimentsRequest")().SerializeToString()
        metadata = [("authorization", f"Bearer {secrets['alice']}")]
        calls = [call.future(asked, timeout=20, metadata=metadata) for _ in range(30)]
        refusal = next(error for one in calls if (error := one.exception()) is not None)
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert float(dict(refusal.trailing_metadata())["retry-after"]) > 0


def test_a_client_that_logs_far_above_its_rate_loses_nothing_and_never_waits(
    people: tuple[Services, ApiClient, Callable[[str], str], int], caplog: pytest.LogCaptureFixture
) -> None:
    services, _, token, port = people
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points_per_s=3000, requests_per_s=5))
    longest_s = 0.0
    with modelbox.ModelBox(f"http://127.0.0.1:{port}", token=token("alice")) as box:
        run = box.start("fast")
        for burst in range(4):
            for step in range(4000):
                began_s = time.perf_counter()
                run.log(loss=float(step), step=4000 * burst + step)
                longest_s = max(longest_s, time.perf_counter() - began_s)
            box.flush(0.1)
        report = box.flush(60)
        run_id = run.id
    assert (bool(report), report.rejected, report.dropped) == (True, 0, 0)
    assert "You may log 3,000 points a second: go on in" in caplog.text
    assert longest_s < 1.0
    series = {one.key: one.count for one in services.metrics.summaries(OPERATOR, m.SummariesQuery(objects=[run_id])).series}
    assert series["loss"] == 16_000


def test_a_client_keeps_what_a_quota_stops_until_there_is_room(people: tuple[Services, ApiClient, Callable[[str], str], int]) -> None:
    services, _, token, port = people
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=50))
    with modelbox.ModelBox(f"http://127.0.0.1:{port}", token=token("alice")) as box:
        run = box.start("much")
        for step in range(100):
            run.log(loss=float(step), step=step)
        report = box.flush(3)
        assert (report.rejected, report.dropped) == (0, 0)
        assert report.pending >= 50
        services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=10_000))
        assert box.flush(60)
        run_id = run.id
    series = services.metrics.summaries(OPERATOR, m.SummariesQuery(objects=[run_id])).series
    assert [one.count for one in series if one.key == "loss"] == [100]


def test_stopped_points_over_grpc_are_told_one_by_one(people: tuple[Services, ApiClient, Callable[[str], str], int]) -> None:
    services, client, token, port = people
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", points=5))
    secret = token("alice")
    run = client.api("POST", "/experiments", {"name": "e"}, headers={"Authorization": f"Bearer {secret}"}).json["item"]["id"]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        log = channel.unary_unary("/modelbox.ModelStore/LogMetrics", lambda one: one.SerializeToString())
        calls = [
            log.future(
                message("LogMetricsRequest")(parent_id=run, key="k", value=message("MetricsValue")(step=step, f_val=0.5)),
                timeout=30,
                metadata=[("authorization", f"Bearer {secret}")],
            )
            for step in range(9)
        ]
        codes = sorted("OK" if call.exception() is None else call.exception().code().name for call in calls)
    assert codes == ["OK"] * 5 + ["RESOURCE_EXHAUSTED"] * 4
    assert services.metrics.summaries(OPERATOR, m.SummariesQuery(objects=[run])).series[0].count == 5


def test_prometheus_hears_of_limits_and_of_no_names(tmp_path: Path) -> None:
    meters = Meters(process=False)
    services = passing_services(StorageSettings(tmp_path, "ephemeral", "inmemory", "filesystem"), meters=meters)
    services.limits.set(OPERATOR, LimitSet(subject="user:alice", experiments=2))
    run_of(services, alice(services))
    assert 'modelbox_quota_used_ratio{limit="experiments"} 0.0' in meters.page().decode()
    run_of(services, alice(services), "2")
    with pytest.raises(QuotaExceeded):
        run_of(services, alice(services), "3")
    page = meters.page().decode()
    assert 'modelbox_limit_refusals_total{limit="experiments"} 1.0' in page
    assert 'modelbox_quota_used_ratio{limit="experiments"} 1.0' in page
    assert "alice" not in page
    services.close()


def test_the_same_limits_from_python_and_from_a_shell(people: tuple[Services, ApiClient, Callable[[str], str], int]) -> None:
    services, _, token, port = people
    services.grants.grant(OPERATOR, a.GrantRequest(namespace="/", principal="user:root", role=Role.ADMIN))
    root = token("root")
    box = modelbox.ModelBox(f"http://127.0.0.1:{port}", token=root)
    assert box.people.limit("user:alice", points=7, requests_per_s=3).points == 7
    assert [(one.subject, one.points, one.requests_per_s) for one in box.people.limits("user:alice")] == [("user:alice", 7, 3)]
    box.close()
    other = modelbox.ModelBox(f"http://127.0.0.1:{port}", token=token("alice"))
    with pytest.raises(PermissionDenied):
        other.people.limit("user:alice", points=0)
    assert [one.subject for one in other.people.limits()] == ["user:alice"]
    other.close()
