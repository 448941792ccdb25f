"""A ticket opens one door, for a while, and cannot be changed."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest

from modelbox.errors import Unauthenticated
from modelbox_server.service.tickets import DownloadClaims, ReceiptClaims, TicketDesk, UploadClaims

KEY = "k" * 32
UPLOAD = UploadClaims(upload_id="u", object_id="o", namespace="équipe", size_bytes=3, sha256=None, md5=None)
DOWNLOAD = DownloadClaims(key="a" * 64, namespace="n", name="w\n.bin", sha256="a" * 64, size_bytes=3)
RECEIPT = ReceiptClaims(upload_id="u", object_id="o", namespace="n", key="a" * 64, sha256="a" * 64, md5="", size_bytes=3)


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> TicketDesk:
    return TicketDesk(KEY, clock)


def test_what_was_written_is_read(desk: TicketDesk) -> None:
    assert desk.read(desk.write(UPLOAD, 60), UploadClaims) == UPLOAD
    assert desk.read(desk.write(DOWNLOAD, 60), DownloadClaims) == DOWNLOAD
    assert desk.read(desk.write(RECEIPT, 60), ReceiptClaims) == RECEIPT


def test_a_ticket_is_read_by_every_server_with_the_same_key_and_by_no_other(desk: TicketDesk, clock: Clock) -> None:
    ticket = desk.write(UPLOAD, 60)
    assert TicketDesk(KEY, clock).read(ticket, UploadClaims) == UPLOAD
    with pytest.raises(Unauthenticated, match="not valid"):
        TicketDesk("K" * 32, clock).read(ticket, UploadClaims)


def test_a_ticket_is_good_for_one_thing_only(desk: TicketDesk) -> None:
    for claims, other in ((UPLOAD, DownloadClaims), (UPLOAD, ReceiptClaims), (DOWNLOAD, UploadClaims), (RECEIPT, UploadClaims)):
        with pytest.raises(Unauthenticated, match="good for something else"):
            desk.read(desk.write(claims, 60), other)  # type: ignore[type-var]


def test_a_ticket_expires_but_clocks_may_differ_a_little(desk: TicketDesk, clock: Clock) -> None:
    ticket = desk.write(UPLOAD, 60)
    clock.at += timedelta(seconds=80)
    assert desk.read(ticket, UploadClaims) == UPLOAD
    clock.at += timedelta(seconds=20)
    with pytest.raises(Unauthenticated, match="expired"):
        desk.read(ticket, UploadClaims)


def test_no_character_of_a_ticket_can_be_changed(desk: TicketDesk) -> None:
    ticket = desk.write(UPLOAD, 60)
    for place in range(len(ticket) - 1):  # the last one has bits that mean nothing
        changed = ticket[:place] + ("A" if ticket[place] != "A" else "B") + ticket[place + 1 :]
        with pytest.raises(Unauthenticated):
            desk.read(changed, UploadClaims)


@pytest.mark.parametrize("garbage", ["", ".", "a.b", "é.é", "=.=", "x" * 100_000, "\ud800.", "a" * 43 + "." + "a" * 43])
def test_garbage_is_no_ticket(desk: TicketDesk, garbage: str) -> None:
    with pytest.raises(Unauthenticated, match="not valid"):
        desk.read(garbage, UploadClaims)


def test_a_document_of_another_version_is_said_to_be_one(desk: TicketDesk) -> None:
    document = b'{"audience":"blob server","expires_at_s":1e12,"claims":{"verb":"teleport"}}'
    ticket = ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (document, desk._signature(document)))
    with pytest.raises(Unauthenticated, match="another version"):
        desk.read(ticket, UploadClaims)
