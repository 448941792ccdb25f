"""What a server does by itself."""

import logging
import threading

import pytest

from modelbox.errors import StorageUnavailable
from modelbox_server.background import Background
from modelbox_server.service.members import MembersService
from modelbox_server.wiring import ephemeral_services


def test_that_the_store_is_away_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    tried, enough = [0], threading.Event()

    def beat(self: MembersService) -> None:
        tried[0] += 1
        if tried[0] >= 5:
            enough.set()
        raise StorageUnavailable("The database does not answer: start it.")

    monkeypatch.setattr(MembersService, "beat", beat)
    monkeypatch.setattr("modelbox_server.service.leases.Lease.acquire", beat)
    services = ephemeral_services()
    with caplog.at_level(logging.INFO, "modelbox_server.background"):
        background = Background(services, beat_s=0.001)
        background.start()
        assert enough.wait(60)
        background.stop()
    services.close()
    assert [record.getMessage() for record in caplog.records] == [
        "This server could not say that it is there: The database does not answer: start it.",
        "The storage of this server is back.",
    ]
