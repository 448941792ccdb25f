"""The face of a blob server: bytes in and out for whoever has a ticket, and a sentence for everything else."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, cast

from modelbox.entities.records import ArtifactRecord, ArtifactStorage, FileType
from modelbox.entities.times import now
from modelbox.errors import NotFound, shortened
from modelbox.wire.messages import ArtifactUploadQuery, BlobStored, BlobUploadQuery
from modelbox.wire.routes import API_PREFIX, BLOB_ROUTES
from modelbox_server.http.auth import bearer_token
from modelbox_server.http.downloads import DownloadExchange
from modelbox_server.http.exchange import UNLIMITED, Exchange, ExchangeHandler, Verb
from modelbox_server.http.face import Face
from modelbox_server.http.health import HEALTH
from modelbox_server.http.incoming import query_of
from modelbox_server.http.uploads import UploadExchange
from modelbox_server.service.artifacts import Upload, verified
from modelbox_server.service.context import Caller
from modelbox_server.service.tickets import DownloadClaims, ReceiptClaims, UploadClaims
from modelbox_server.service.transfers import RECEIPT_LIFETIME_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tornado import web

    from modelbox_server.http.auth import Action
    from modelbox_server.http.handlers import Rule
    from modelbox_server.observing.meters import Meters
    from modelbox_server.service.tickets import TicketDesk
    from modelbox_server.storage.interfaces import BlobInfo, BlobStore
    from modelbox_server.wiring import Services

__all__ = ["UNKNOWN_HERE", "BlobFace", "TicketGate", "blob_rules"]

UNKNOWN_HERE = "This is a blob server, which only moves bytes for whoever has a ticket: ask the metadata server."
"""What is answered to everything else."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class BlobFace(Face):
    """A face with nothing behind it but a blob store. It remembers nothing, so there may be any number of them.

    Parameters
    ----------
    open_blobs
        Opens the store that all servers share, on first use and off the event loop.
    tickets
        Reads tickets, and writes receipts.
    meters
        What counts and times the work.
    """

    def __init__(self, open_blobs: Callable[[], BlobStore], tickets: TicketDesk, meters: Meters | None = None) -> None:
        # Nothing that a blob server serves asks for more of the services than this store, which has the methods that a face itself calls.
        super().__init__(lambda: cast("Services", open_blobs()), TicketGate(tickets), meters)
        self.tickets = tickets

    def blobs(self) -> BlobStore:
        """Return the store; only from within :meth:`run`."""
        return cast("BlobStore", self.services())

    def pace(self, caller: Caller) -> None:
        """Let everybody pass: whoever is here has got a ticket for one transfer."""

    @property
    def direct_from_bytes(self) -> int | None:
        """Whoever is here has come by a ticket already."""
        return None


class TicketGate:
    """Lets in whoever has a ticket; what it is good for is seen by the exchange.

    Host and origin do not matter here: a web page that was lured to this server has no ticket.

    Parameters
    ----------
    tickets
        Reads them.
    """

    answers_options = False

    def __init__(self, tickets: TicketDesk) -> None:
        self._tickets = tickets

    def recognise(self, handler: web.RequestHandler) -> bool:
        """Recognise nothing: there is no surrounding server."""
        return False

    def ignores(self, parameter: str, values: list[bytes]) -> bool:
        """Ignore nothing."""
        return False

    def listed_origin(self, handler: web.RequestHandler) -> str | None:
        """List no pages: browsers get everything from the server of the metadata."""
        return None

    async def admit(self, handler: web.RequestHandler, action: Action | None) -> Caller:
        """Return a nameless caller: tickets are not written for somebody.

        Raises
        ------
        Unauthenticated
            They have no ticket, for something that is not open to all.
        """
        if action is not None:
            self._tickets.read(bearer_token(handler), UploadClaims, DownloadClaims)
        return Caller(name="", face="blob", address=handler.request.remote_ip or "")


class BlobUploadExchange(UploadExchange):
    """Stores the body, and gives a receipt for it."""

    def __init__(self, handler: ExchangeHandler, face: BlobFace) -> None:
        super().__init__(handler)
        self._face = face

    def query(self) -> ArtifactUploadQuery:
        """Return what the ticket says of the bytes."""
        follows = query_of(self.handler, BlobUploadQuery).sha256_follows
        claims = self._claims()
        return ArtifactUploadQuery(
            name=claims.upload_id, size_bytes=claims.size_bytes, sha256=claims.sha256, md5=claims.md5, sha256_follows=follows
        )

    def open(self, query: ArtifactUploadQuery) -> Upload[object]:
        """Return where the bytes go."""
        claims = self._claims()

        def receipt(info: BlobInfo) -> BlobStored:
            kept = ReceiptClaims(
                upload_id=claims.upload_id,
                object_id=claims.object_id,
                namespace=claims.namespace,
                key=info.key,
                sha256=info.sha256,
                md5=info.md5,
                size_bytes=info.size_bytes,
            )
            return BlobStored(sha256=info.sha256, size_bytes=info.size_bytes, receipt=self._face.tickets.write(kept, RECEIPT_LIFETIME_S))

        return Upload(self._face.blobs(), query, receipt)

    def _claims(self) -> UploadClaims:
        return self._face.tickets.read(bearer_token(self.handler), UploadClaims)


class BlobDownloadExchange(DownloadExchange):
    """Sends the bytes of a ticket, as a file that no browser opens."""

    def __init__(self, handler: ExchangeHandler, face: BlobFace) -> None:
        super().__init__(handler)
        self._face = face

    async def begin(self) -> None:
        """Refuse whoever has no ticket, before anything of the store is looked at."""
        await super().begin()
        self._claims()

    def record(self) -> ArtifactRecord:
        """Return what the ticket says of the bytes."""
        claims, at = self._claims(), now()
        return ArtifactRecord(
            id="",
            parent_id="",
            namespace=claims.namespace,
            name=claims.name,
            file_type=FileType.UNDEFINED,
            storage=ArtifactStorage.UPLOADED,
            media_type="application/octet-stream",
            size_bytes=claims.size_bytes,
            sha256=claims.sha256,
            content=claims.key,
            created_at=at,
            updated_at=at,
        )

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """Return the bytes; all of them are compared with their digest before the last are handed out."""
        claims = self._claims()
        chunks = self._face.blobs().read(claims.key, start, stop)
        return verified(chunks, self.record()) if (start, stop) == (0, claims.size_bytes) else chunks

    def _claims(self) -> DownloadClaims:
        return self._face.tickets.read(bearer_token(self.handler), DownloadClaims)


class ElsewhereExchange(Exchange):
    """Says where to go instead."""

    async def begin(self) -> None:
        """Refuse."""
        raise NotFound(f"There is no {shortened(self.handler.request.path)} here. {UNKNOWN_HERE}")

    async def answer(self) -> None:
        """Never come here."""
        raise AssertionError


def blob_rules(face: BlobFace) -> list[Rule]:
    """Return the tornado rules of a blob server."""

    def upload(handler: ExchangeHandler) -> Exchange:
        return BlobUploadExchange(handler, face)

    def download(handler: ExchangeHandler) -> Exchange:
        return BlobDownloadExchange(handler, face)

    paths: defaultdict[str, dict[str, Verb]] = defaultdict(dict)
    for route in BLOB_ROUTES:
        verb = Verb(route.action, UNLIMITED, upload) if route.stream == "upload" else Verb(route.action, 0, download)
        paths[API_PREFIX + route.path] |= dict.fromkeys(("GET", "HEAD") if route.method == "GET" else (route.method,), verb)
    for path, exchange in HEALTH.items():
        paths[path] = dict.fromkeys(("GET", "HEAD"), Verb(None, 0, exchange))
    rules: list[Rule] = [(path, ExchangeHandler, {"face": face, "verbs": verbs, "path": path}) for path, verbs in paths.items()]
    elsewhere = Verb(None, UNLIMITED, ElsewhereExchange)
    return [*rules, ("(?:/.*)?", ExchangeHandler, {"face": face, "verbs": dict.fromkeys(_METHODS, elsewhere), "path": ""})]
