"""Everything that can go wrong, with its meaning on every face in one place.

::

    ModelBoxError                  500  INTERNAL             exit 1
    ├── InvalidRequest             400  INVALID_ARGUMENT     exit 2
    │   ├── InvalidName            400
    │   ├── InvalidQuery           400
    │   ├── TooLarge               413
    │   ├── UnsupportedMedia       415
    │   └── RangeNotSatisfiable    416
    ├── ConfigError                400  INVALID_ARGUMENT     exit 2
    ├── Unauthenticated            401  UNAUTHENTICATED      exit 4
    ├── PermissionDenied           403  PERMISSION_DENIED    exit 4
    ├── NotFound                   404  NOT_FOUND            exit 5
    ├── MethodNotAllowed           405  UNIMPLEMENTED        exit 2
    ├── Conflict                   409  ALREADY_EXISTS       exit 6
    │   ├── AlreadyDone            409
    │   ├── BatchConflict          409
    │   ├── TagTaken               409
    │   └── NoContent              409  FAILED_PRECONDITION
    ├── PreconditionFailed         412  FAILED_PRECONDITION  exit 6
    ├── Misdirected                421  PERMISSION_DENIED    exit 4
    ├── ChecksumMismatch           422  DATA_LOSS            exit 7
    ├── RateLimited                429  RESOURCE_EXHAUSTED   exit 3
    ├── StorageError               500  INTERNAL             exit 1
    │   ├── BlobMissing            500  DATA_LOSS
    │   └── SchemaTooNew           500  FAILED_PRECONDITION
    ├── StorageUnavailable         503  UNAVAILABLE          exit 3
    │   ├── Collided               503
    │   ├── HubUnavailable         503
    │   └── StorageFull            507  RESOURCE_EXHAUSTED
    │       └── QuotaExceeded      507
    ├── ServerUnreachable          503  UNAVAILABLE          exit 3
    └── MissingExtra               501  UNIMPLEMENTED        exit 2

A message is one sentence, or two: what happened with which value, what would be right, what to do. HTTP, gRPC, the command line and the
notebook all show that same sentence; the class carries the status of each.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

__all__ = [
    "AlreadyDone",
    "BatchConflict",
    "BlobMissing",
    "ChecksumMismatch",
    "Collided",
    "ConfigError",
    "Conflict",
    "HubUnavailable",
    "InvalidName",
    "InvalidQuery",
    "InvalidRequest",
    "MethodNotAllowed",
    "Misdirected",
    "MissingExtra",
    "ModelBoxError",
    "NoContent",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "QuotaExceeded",
    "RangeNotSatisfiable",
    "RateLimited",
    "SchemaTooNew",
    "ServerUnreachable",
    "StorageError",
    "StorageFull",
    "StorageUnavailable",
    "TagTaken",
    "TooLarge",
    "Unauthenticated",
    "UnsupportedMedia",
    "error_for_code",
    "nearest",
    "shortened",
]


class ModelBoxError(Exception):
    """Root of every error that ModelBox raises on purpose.

    Parameters
    ----------
    detail
        The sentence for the person: what, where, what would be right, what to do.
    field
        Path of the offending field in the request, such as ``"points[3].value"``.
    limit
        The bound that was passed, when there is one, such as ``"512 characters"``.
    retry_after_s
        How long a client should wait before it tries again; ``None`` when trying again is no help.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        limit: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.limit = limit
        self.retry_after_s = retry_after_s

    def _render_traceback_(self) -> list[str]:
        """Let IPython show one readable line instead of a stack of our own frames."""
        return [f"{type(self).__name__}: {self.detail}"]


class InvalidRequest(ModelBoxError):
    """A value that was sent is malformed or out of range."""

    code = "invalid_request"
    title = "Invalid request"
    http_status = 400
    grpc_code = "INVALID_ARGUMENT"
    exit_code = 2


class InvalidName(InvalidRequest):
    """A name or key breaks the rules of :mod:`modelbox.entities.names`."""

    code = "invalid_name"
    title = "Invalid name"


class InvalidQuery(InvalidRequest):
    """A filter, an order or a page token cannot be understood."""

    code = "invalid_query"
    title = "Invalid query"


class TooLarge(InvalidRequest):
    """A body, batch or value passes its limit."""

    code = "too_large"
    title = "Too large"
    http_status = 413


class UnsupportedMedia(InvalidRequest):
    """The body is in a format that this route does not read."""

    code = "unsupported_media"
    title = "Unsupported media type"
    http_status = 415


class RangeNotSatisfiable(InvalidRequest):
    """A Range header asks for bytes that the content does not have."""

    code = "range_not_satisfiable"
    title = "Range not satisfiable"
    http_status = 416


class ConfigError(ModelBoxError):
    """A setting, an address or a configuration file is wrong."""

    code = "config_error"
    title = "Configuration error"
    http_status = 400
    grpc_code = "INVALID_ARGUMENT"
    exit_code = 2


class Unauthenticated(ModelBoxError):
    """No credential was sent, or it is not valid."""

    code = "unauthenticated"
    title = "Not authenticated"
    http_status = 401
    grpc_code = "UNAUTHENTICATED"
    exit_code = 4


class PermissionDenied(ModelBoxError):
    """The credential is valid, but does not allow this."""

    code = "permission_denied"
    title = "Permission denied"
    http_status = 403
    grpc_code = "PERMISSION_DENIED"
    exit_code = 4


class NotFound(ModelBoxError):
    """There is no such object, or the caller may not see it."""

    code = "not_found"
    title = "Not found"
    http_status = 404
    grpc_code = "NOT_FOUND"
    exit_code = 5

    @classmethod
    def among(cls, what: str, name: str, known: Iterable[str]) -> "NotFound":
        """Say that `name` is not one of `known`, and which of them was probably meant."""
        names = sorted(known)
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        tail = nearest(name, names) or f"There is: {shown or 'nothing yet'}."
        return cls(f"There is no {what} {shortened(name)}. {tail}")


class MethodNotAllowed(ModelBoxError):
    """The route exists, but not with this verb."""

    code = "method_not_allowed"
    title = "Method not allowed"
    http_status = 405
    grpc_code = "UNIMPLEMENTED"
    exit_code = 2


class Conflict(ModelBoxError):
    """What was asked for contradicts what is stored."""

    code = "conflict"
    title = "Conflict"
    http_status = 409
    grpc_code = "ALREADY_EXISTS"
    exit_code = 6


class BatchConflict(Conflict):
    """A batch number came again with other content; nothing was written.

    Parameters
    ----------
    stored_points
        How many points are stored under the number.
    """

    code = "batch_conflict"
    title = "Batch number already used"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        limit: str | None = None,
        retry_after_s: float | None = None,
        stored_points: int = 0,
    ) -> None:
        super().__init__(detail, field=field, limit=limit, retry_after_s=retry_after_s)
        self.stored_points = stored_points


class AlreadyDone(Conflict):
    """A call with this idempotency key was carried out before; nothing was done now."""

    code = "already_done"
    title = "Already done"


class TagTaken(Conflict):
    """Another version of the same model holds this unique tag."""

    code = "tag_taken"
    title = "Tag already taken"


class NoContent(Conflict):
    """The artifact is tracked by reference only: ModelBox never had its bytes."""

    code = "no_content"
    title = "Content was never uploaded"
    grpc_code = "FAILED_PRECONDITION"


class PreconditionFailed(ModelBoxError):
    """The object changed since the caller read it."""

    code = "precondition_failed"
    title = "Precondition failed"
    http_status = 412
    grpc_code = "FAILED_PRECONDITION"
    exit_code = 6


class Misdirected(ModelBoxError):
    """The Host header names a machine that this server does not answer for."""

    code = "misdirected"
    title = "Misdirected request"
    http_status = 421
    grpc_code = "PERMISSION_DENIED"
    exit_code = 4


class ChecksumMismatch(ModelBoxError):
    """Bytes that arrived, or that are stored, are not the bytes that were declared."""

    code = "checksum_mismatch"
    title = "Checksum mismatch"
    http_status = 422
    grpc_code = "DATA_LOSS"
    exit_code = 7


class RateLimited(ModelBoxError):
    """Too many requests for now."""

    code = "rate_limited"
    title = "Too many requests"
    http_status = 429
    grpc_code = "RESOURCE_EXHAUSTED"
    exit_code = 3


class StorageError(ModelBoxError):
    """The storage backend failed in a way that trying again does not mend."""

    code = "storage_error"
    title = "Storage error"


class BlobMissing(StorageError):
    """The record of an artifact is there, but its bytes are not."""

    code = "blob_missing"
    title = "Content is missing"
    grpc_code = "DATA_LOSS"


class SchemaTooNew(StorageError):
    """The database was written by a newer version of ModelBox."""

    code = "schema_too_new"
    title = "Database is newer than the program"
    grpc_code = "FAILED_PRECONDITION"


class StorageUnavailable(ModelBoxError):
    """The storage backend is away or busy; trying again later may work."""

    code = "storage_unavailable"
    title = "Storage unavailable"
    http_status = 503
    grpc_code = "UNAVAILABLE"
    exit_code = 3


class HubUnavailable(StorageUnavailable):
    """The JupyterHub that knows people does not answer, so nobody can be let in; trying again later may work."""

    code = "hub_unavailable"
    title = "JupyterHub unavailable"


class Collided(StorageUnavailable):
    """Two transactions got into each other's way and this one was given up; nothing of it was kept, and it may simply be tried again."""

    code = "collided"
    title = "Transactions collided"


class StorageFull(StorageUnavailable):
    """No space is left where data is kept."""

    code = "storage_full"
    title = "Storage full"
    http_status = 507
    grpc_code = "RESOURCE_EXHAUSTED"


class QuotaExceeded(StorageFull):
    """A user or a namespace has as much as it may have; what is sent again once something was deleted, or more was allowed, is taken."""

    code = "quota_exceeded"
    title = "Quota exceeded"


class ServerUnreachable(ModelBoxError):
    """No ModelBox server answers at the address (raised by clients only)."""

    code = "server_unreachable"
    title = "Server unreachable"
    http_status = 503
    grpc_code = "UNAVAILABLE"
    exit_code = 3


class MissingExtra(ModelBoxError):
    """A feature needs a package that is not installed."""

    code = "missing_extra"
    title = "Package missing"
    http_status = 501
    grpc_code = "UNIMPLEMENTED"
    exit_code = 2


def _walk(cls: type[ModelBoxError]) -> Iterable[type[ModelBoxError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _walk(child)


def error_for_code(code: str) -> type[ModelBoxError]:
    """Return the class with this `code`; :class:`ModelBoxError` when it is unknown."""
    return next((cls for cls in _walk(ModelBoxError) if cls.code == code), ModelBoxError)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the known name closest to `name`, or an empty string."""
    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def shortened(value: object, limit_chars: int = 80) -> str:
    """Return ``repr(value)`` cut to `limit_chars`, so that a message stays one line whatever was sent."""
    text = repr(value)
    return text if len(text) <= limit_chars else f"{text[: limit_chars - 1]}…"
