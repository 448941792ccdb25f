"""How a bucket is reached: clients of this process, and what errors of S3 mean here."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from boto3.session import Session
from botocore import exceptions as boto_errors
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.session import get_session

from modelbox.errors import BlobMissing, ConfigError, StorageError, StorageFull, StorageUnavailable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox_server.storage.blobs.s3_settings import S3Settings

__all__ = ["S3Connection"]

_RETRY_AFTER_S = 5.0
_AWAY_FOR_S = 1.0
_ATTEMPTS = 3
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30
_CONNECTIONS = 32
_PART_THREADS = 8

_MISSING = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity", "507"}
_REFUSED = {
    "403": "refuses the credentials or does not allow this",
    "AccessDenied": "does not allow this with these credentials",
    "InvalidAccessKeyId": "does not know the access key",
    "SignatureDoesNotMatch": "finds that the secret key is wrong",
    "ExpiredToken": "says that the session has expired",
    "NoSuchBucket": "is not there: make it, or name another",
    "RequestTimeTooSkewed": "says that the clock of this machine is wrong",
}
_SILENT = "does not answer: start it, or mend the settings; calls work again as soon as it does"
_AWAY = (boto_errors.HTTPClientError, boto_errors.ConnectionError, OSError)
_NOBODY_THERE = (boto_errors.EndpointConnectionError, boto_errors.ConnectTimeoutError)


@cache
def _models() -> Any:
    """Return what reads botocore's description of S3, a megabyte of JSON, once for all clients."""
    return create_loader()


class S3Connection:
    """Clients for one bucket. Safe to use from several threads at once; a forked child makes its own.

    A service that cannot be reached is left alone for a second, so that threads do not queue up in waiting for it.
    """

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._owner = -1
        self._clients: dict[bool, Any] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._away_until_s = 0.0

    @property
    def client(self) -> Any:
        """A boto3 client that tries some times."""
        return self._client(patient=True)

    @property
    def hasty_client(self) -> Any:
        """A boto3 client that tries once, for the question whether anybody answers."""
        return self._client(patient=False)

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Threads that send parts."""
        with self._lock:
            self._own()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_PART_THREADS, thread_name_prefix="modelbox-s3")
            return self._threads

    def _client(self, *, patient: bool) -> Any:
        with self._lock:
            self._own()
            if patient not in self._clients:
                self._clients[patient] = self._open(patient=patient)
            return self._clients[patient]

    def _own(self) -> None:
        """Drop what a parent process made: its connections and threads are not ours."""
        if self._owner != os.getpid():
            self._owner, self._clients, self._threads = os.getpid(), {}, None

    def _open(self, *, patient: bool) -> Any:
        settings = self.settings
        config = Config(
            signature_version="s3v4",  # presigned URLs would be signed in the old way in us-east-1 otherwise
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS if patient else 1},
            connect_timeout=_CONNECT_TIMEOUT_S if patient else 2,
            read_timeout=_READ_TIMEOUT_S if patient else 5,
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            s3={"addressing_style": "path" if settings.path_style else "auto"},
            request_checksum_calculation=settings.checksums,
            response_checksum_validation="when_required",  # what is read is compared with our own SHA-256
        )
        try:
            # A session of its own: the default one is not safe to use from several threads.
            core = get_session()
            core.register_component("data_loader", _models())
            return Session(
                aws_access_key_id=settings.access_key,
                aws_secret_access_key=settings.secret_key,
                region_name=settings.region,
                botocore_session=core,
            ).client("s3", endpoint_url=settings.endpoint_url, config=config)
        except (ValueError, boto_errors.BotoCoreError) as error:
            raise ConfigError(f"artifact_storage_s3 cannot be used: {error}.", field="artifact_storage_s3") from error

    def close(self) -> None:
        """Release connections and threads."""
        with self._lock:
            self._own()
            threads, self._threads = self._threads, None
            clients, self._clients = self._clients, {}
        if threads is not None:
            threads.shutdown()
        for client in clients.values():
            client.close()

    @contextmanager
    def translated(self, key: str | None = None) -> Iterator[None]:
        """Raise our errors instead of those of S3.

        Raises
        ------
        BlobMissing
            There is no object; only where the block is about one, whose `key` is given.
        StorageFull, StorageUnavailable, StorageError
            The service has no room, is away or refuses us, or answered what nobody foresaw.
        """
        if time.monotonic() < self._away_until_s:
            raise self._away(_SILENT)
        try:
            yield
        except boto_errors.ClientError as error:
            raise self._refusal(error, key) from error
        except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError) as error:
            raise self._away(
                "cannot be used without credentials: set access_key and secret_key, or AWS_ACCESS_KEY_ID and its like"
            ) from error
        except _AWAY as error:
            if isinstance(error, _NOBODY_THERE):
                self._away_until_s = time.monotonic() + _AWAY_FOR_S
            raise self._away(_SILENT) from error
        except boto_errors.BotoCoreError as error:
            raise StorageError(f"The S3 bucket {self.settings.bucket!r} cannot be used: {error}.") from error

    def _away(self, what: str) -> StorageUnavailable:
        where = self.settings.endpoint_url or f"region {self.settings.region}"
        return StorageUnavailable(f"The S3 bucket {self.settings.bucket!r} ({where}) {what}.", retry_after_s=_RETRY_AFTER_S)

    def _refusal(self, error: boto_errors.ClientError, key: str | None) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if key is not None and code in _MISSING:
            return BlobMissing(f"The content {shortened(key)} is not stored: it was deleted, or its object is lost.")
        if code in _FULL or status == 507:
            return StorageFull(f"No space is left in the S3 bucket {self.settings.bucket!r}: free some.", retry_after_s=30.0)
        if code in _REFUSED:
            return self._away(_REFUSED[code])
        if code in _MISSING or status >= 500 or status == 429:
            return self._away(f"answers {status} {shortened(code, 40)}")
        return StorageError(
            f"The S3 bucket {self.settings.bucket!r} refuses {error.operation_name} with {status} {shortened(code, 40)}: "
            "is it a service that speaks the protocol of S3?"
        )
