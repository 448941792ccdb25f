"""A database that goes and comes back costs retries, never a restart of ours or anything that was acknowledged."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from modelbox.errors import SchemaTooNew, StorageUnavailable
from modelbox_server.storage.migrations.runner import APPLIED
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.database_writer import database_services, open_metadata
from modelbox_server.testing.engines import DatabaseServer, MariaDbServer, PostgresServer
from modelbox_server.testing.live_server import live_server

CLIENTS = 4
KINDS = pytest.mark.parametrize("kind", [PostgresServer, MariaDbServer])


class Client(threading.Thread):
    """Creates experiments, each until it is acknowledged, as clients with an id of their own do."""

    def __init__(self, api: ApiClient, number: int) -> None:
        super().__init__(daemon=True)
        self.api = api
        self.number = number
        self.acknowledged: list[str] = []
        self.refusals: list[dict[str, object]] = []
        self.finished = threading.Event()

    def run(self) -> None:
        while not self.finished.is_set():
            object_id = f"{self.number:08x}{len(self.acknowledged):032x}"
            while True:
                answer = self.api.api("POST", "/experiments", {"id": object_id, "name": "é", "metadata": {"params.x": 1}})
                if answer.status in {200, 201}:
                    break
                self.refusals.append({"status": answer.status, "retry": answer.headers.get("retry-after"), "code": answer.json.get("code")})
                time.sleep(0.05)
            self.acknowledged.append(object_id)


@KINDS
def test_a_restart_under_load_loses_nothing(kind: type[PostgresServer | MariaDbServer]) -> None:
    with kind() as database, database.database() as settings:
        with live_server(lambda: database_services(database.kind, settings)) as server:
            clients = [Client(ApiClient(server.url, server.headers), number) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for away in (database.stop, database.kill):
                _wait_for_more(clients)
                away()
                time.sleep(0.3)  # some calls are to meet it while it is away
                database.start()
                _wait_for_more(clients)
            for client in clients:
                client.finished.set()
            for client in clients:
                client.join(60)
            api = clients[0].api
            acknowledged = {object_id for client in clients for object_id in client.acknowledged}
            found = [item["id"] for page in _pages(api) for item in page]
            assert len(found) == len(set(found))
            # The last call of a client may have been carried out without an answer.
            assert acknowledged <= set(found)
            assert len(found) <= len(acknowledged) + CLIENTS
        refusals = [refusal for client in clients for refusal in client.refusals]
        assert refusals
        assert {refusal["status"] for refusal in refusals} == {503}
        assert all(refusal["retry"] for refusal in refusals)


def _wait_for_more(clients: list[Client]) -> None:
    before = [len(client.acknowledged) for client in clients]
    deadline_s = time.monotonic() + 90
    while any(len(client.acknowledged) < count + 5 for client, count in zip(clients, before, strict=True)):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _pages(api: ApiClient) -> list[list[dict[str, str]]]:
    pages, token = [], ""
    while True:
        answer = api.api("GET", f"/experiments?limit=1000{token}").json
        pages.append(answer["items"])
        if not answer.get("next_page_token"):
            return pages
        token = f"&page_token={answer['next_page_token']}"


@KINDS
def test_a_server_that_starts_first_gets_well_by_itself(
    kind: type[PostgresServer | MariaDbServer], caplog: pytest.LogCaptureFixture
) -> None:
    with kind() as database, database.database() as settings:
        database.stop()
        with caplog.at_level(logging.WARNING), live_server(lambda: database_services(database.kind, settings)) as server:
            api = ApiClient(server.url, server.headers)
            refused = api.api("POST", "/experiments", {"name": "early"})
            assert refused.status == 503
            assert "retry-after" in refused.headers
            assert "cannot be reached" in refused.json["detail"]
            assert settings.password not in refused.body.decode() + caplog.text
            database.start()
            deadline_s = time.monotonic() + 60
            while api.api("POST", "/experiments", {"name": "late"}).status != 201:
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        assert "Until then calls that need it are refused" in caplog.text


def test_threads_that_want_a_connection_wait_a_bounded_time(database_server: DatabaseServer) -> None:
    with database_server.database() as settings:
        store = open_metadata(database_server.kind, replace(settings, pool_size=2, pool_wait_s=0.2))
        barrier = threading.Barrier(3)

        def hold() -> None:
            with store.read():
                barrier.wait(30)
                barrier.wait(30)

        with ThreadPoolExecutor(2) as pool:
            holders = [pool.submit(hold) for _ in range(2)]
            barrier.wait(30)
            assert store.pool_status() == {"size": 2, "open": 2, "in_use": 2}
            with pytest.raises(StorageUnavailable, match="Too many transactions") as caught, store.read():
                pass
            assert caught.value.retry_after_s
            barrier.wait(30)
            for holder in holders:
                holder.result()
        store.close()


def test_a_schema_that_nobody_may_change_is_waited_for(database_server: DatabaseServer) -> None:
    with database_server.database() as settings:
        careful = open_metadata(database_server.kind, replace(settings, auto_migrate=False))
        with pytest.raises(StorageUnavailable, match="modelbox server migrate apply"), careful.read():
            pass
        open_metadata(database_server.kind, settings).close()
        deadline_s = time.monotonic() + 60
        while True:
            try:
                careful.check()
            except StorageUnavailable:
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            else:
                break
        careful.close()


def test_a_newer_schema_is_refused(database_server: DatabaseServer) -> None:
    with database_server.database() as settings:
        open_metadata(database_server.kind, settings).close()
        engine = database_server.engine(settings)
        with engine.begin() as connection:
            connection.execute(APPLIED.insert().values(number=1000, name="of tomorrow", applied_at=0))
        engine.dispose()
        with pytest.raises(SchemaTooNew, match="upgrade modelbox-jupyter"):
            open_metadata(database_server.kind, settings)
