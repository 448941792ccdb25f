"""Fair use: nobody goes faster, or has more, than they may, and whoever is stopped loses nothing.

Rates hold for each user at each server. Quotas hold for what is in the stores, whichever server wrote it: experiments and bytes exactly, in
the transaction that adds them; points as of a moment ago, so that ingest does not wait for sums.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from modelbox.entities.records import ExperimentRecord, ModelRecord, ObjectRef, ObjectType
from modelbox.errors import QuotaExceeded, RateLimited, TooLarge
from modelbox_server.service.garbage import in_parts
from modelbox_server.service.guarded import trusted
from modelbox_server.service.limits import user_subject
from modelbox_server.service.rates import Buckets
from modelbox_server.storage.interfaces import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from modelbox_server.observing.meters import Meters
    from modelbox_server.service.context import Caller
    from modelbox_server.service.limits import Limits, LimitsService
    from modelbox_server.service.usage import Usage
    from modelbox_server.storage.interfaces import BatchKey, MetadataStore, MetadataTransaction

__all__ = ["FairUse"]

_AGAIN_S: Final = 60.0
_MEASURED_S: Final = 2.0
_AT_LEAST_S: Final = 0.5
_SHARE: Final = 50.0
"""Measuring takes at most a fiftieth of the time."""
_ONE_BATCH_S: Final = 60
_MAX_OWNERS: Final = 20_000
_MAX_BATCHES: Final = 20_000
_WORDS: Final = {
    "size_bytes": ("byte of artifacts", "bytes of artifacts"),
    "points": ("point", "points"),
    "experiments": ("experiment", "experiments"),
}


class _Points:
    """How many points somebody has, as far as is known."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.at_s = float("-inf")
        self.took_s = 0.0


class FairUse:
    """Let calls pass, or raise.

    Parameters
    ----------
    metadata
        Knows who owns what.
    limits
        Says how much may be.
    usage
        Says how much there is.
    meters
        Counts refusals.
    monotonic_s
        Seconds that never run backwards.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        limits: LimitsService,
        usage: Usage,
        meters: Meters | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._limits = limits
        self._usage = usage
        self._meters = meters
        self._monotonic_s = monotonic_s
        self._requests = Buckets(monotonic_s)
        self._rate = Buckets(monotonic_s)
        self._points: dict[str, _Points] = {}
        self._places: dict[str, tuple[str, str]] = {}  # namespace and owner of objects
        self._batches: dict[tuple[str, int, int], None] = {}  # client, number and points of those that were let through

    @property
    def is_stale(self) -> bool:
        """Whether :meth:`refresh` has something to do."""
        return self._limits.is_stale

    def refresh(self) -> None:
        """Hear of limits that were set elsewhere; never from an event loop."""
        self._limits.refresh()

    # --- rates ---------------------------------------------------------------------------------------------------------------------------

    def pace_request(self, caller: Caller) -> None:
        """Return if a user may make another call now. Asks no store, so that an event loop may call it.

        Raises
        ------
        RateLimited
            They may in a moment.
        """
        if not self._limits.has_any("requests_per_s") or caller.access.is_everything:
            return
        per_s = self._limits.of_user(caller.name).requests_per_s
        wait_s = self._requests.take(caller.name, 1, per_s) if per_s else 0.0
        if wait_s:
            self._count("requests_per_s")
            raise RateLimited(
                f"You may make {per_s:,} calls a second: go on in {wait_s:.2g} s.", limit=f"{per_s} requests/s", retry_after_s=wait_s
            )

    def _pace_points(self, caller: Caller, points: int) -> None:
        if not self._limits.has_any("points_per_s") or caller.access.is_everything:
            return
        per_s = self._limits.of_user(caller.name).points_per_s
        if not per_s:
            return
        most = per_s * _ONE_BATCH_S
        if points > most:
            raise TooLarge(
                f"The batch has {points:,} points, and you may send {per_s:,} a second: send at most {most:,} at once.",
                field="series",
                limit=f"{most} points",
            )
        wait_s = self._rate.take(caller.name, points, per_s)
        if wait_s:
            self._count("points_per_s")
            raise RateLimited(
                f"You may log {per_s:,} points a second: go on in {wait_s:.2g} s.", limit=f"{per_s} points/s", retry_after_s=wait_s
            )

    # --- quotas --------------------------------------------------------------------------------------------------------------------------

    def admit_experiment(self, tx: MetadataTransaction, caller: Caller, namespace: str, owner: str) -> None:
        """Return if there may be one more experiment, in the transaction that makes it.

        Raises
        ------
        QuotaExceeded
            There may not.
        """
        for subject, most in self._quotas("experiments", caller, namespace, owner):
            self._require("experiments", subject, self._usage.experiments(trusted(tx), subject), 1, most)

    def admit_bytes(self, tx: MetadataTransaction, caller: Caller, parent: ObjectRef, size_bytes: int) -> None:
        """Return if there may be so many more bytes on an object; as :meth:`admit_experiment`."""
        if not self._limits.has_any("size_bytes"):
            return
        for subject, most in self._quotas("size_bytes", caller, parent.namespace, _owner(trusted(tx), parent)):
            self._require("size_bytes", subject, self._usage.size_bytes(trusted(tx), subject), size_bytes, most)

    def admit_points(self, caller: Caller, counts: Mapping[str, int], batch: BatchKey | None = None) -> None:
        """Return if these may be added: to each object, by its id, so many points.

        A batch that comes again, as its answer may have been lost, is let through: the store knows whether it has it.

        Raises
        ------
        RateLimited, TooLarge
            They may later, or in parts.
        QuotaExceeded
            There may not be so many.
        """
        self._limits.refresh()
        self._pace_points(caller, sum(counts.values()))
        if not self._limits.has_any("points"):
            return
        known_batch = None if batch is None else (batch.client, batch.number, sum(counts.values()))
        if known_batch in self._batches:
            return
        wanted: dict[tuple[str, int], int] = {}
        self._look_at(counts)
        for object_id, count in counts.items():
            if object_id in self._places:
                for quota in self._quotas("points", caller, *self._places[object_id]):
                    wanted[quota] = wanted.get(quota, 0) + count
        self._add_to_all(wanted)
        if known_batch is not None and wanted:
            if len(self._batches) >= _MAX_BATCHES:
                self._batches = {}
            self._batches[known_batch] = None

    def _add_to_all(self, wanted: Mapping[tuple[str, int], int]) -> None:
        added: list[tuple[_Points, int]] = []
        try:
            for (subject, most), count in wanted.items():
                added.append((self._add_points(subject, count, most), count))
        except QuotaExceeded:
            for known, count in added:
                with known.lock:
                    known.count -= count
            raise

    def _quotas(self, name: str, caller: Caller, namespace: str, owner: str) -> Iterator[tuple[str, int]]:
        """Yield whom it concerns what a caller adds somewhere, and how much they may have."""
        if not self._limits.has_any(name):
            return
        of: list[tuple[str, Limits]] = list(self._limits.of_namespaces(namespace))
        if owner and not caller.access.is_everything:
            of.append((user_subject(owner), self._limits.of_user(owner)))
        for subject, limits in of:
            most: int = getattr(limits, name)
            if most:
                yield subject, most

    def _require(self, name: str, subject: str, used: int, more: int, most: int) -> None:
        if self._meters is not None:
            self._meters.used_quota(name, used / most)
        if used + more <= most:
            return
        self._count(name)
        kind, _, whose = subject.partition(":")
        who = f"The user {whose!r}" if kind == "user" else f"The namespace {whose!r}"
        raise QuotaExceeded(
            f"{who} may have {most:,} {_WORDS[name][most != 1]} and has {used:,}, so there is no room for {more:,} more: delete some, "
            "or ask the operator of the server for more room. Nothing was stored.",
            limit=f"{most} {_WORDS[name][most != 1]}",
            retry_after_s=_AGAIN_S,
        )

    def _add_points(self, subject: str, more: int, most: int) -> _Points:
        known = self._points.setdefault(subject, _Points())
        with known.lock:
            age_s = self._monotonic_s() - known.at_s
            is_over = known.count + more > most
            if age_s > max(_MEASURED_S, known.took_s * _SHARE) or (is_over and age_s > max(_AT_LEAST_S, known.took_s)):
                began_s = self._monotonic_s()
                known.count = self._usage.points(subject)
                known.at_s = self._monotonic_s()
                known.took_s = known.at_s - began_s
            self._require("points", subject, known.count, more, most)
            known.count += more
        return known

    def _look_at(self, object_ids: Collection[str]) -> None:
        unknown = [object_id for object_id in object_ids if object_id not in self._places]
        if not unknown:
            return
        if len(self._places) + len(unknown) > _MAX_OWNERS:
            self._places = {}
        with self._metadata.read() as tx:
            for part in in_parts(unknown):
                for ref in tx.select(ObjectRef, [Condition("id", "in", part)]):
                    self._places[ref.id] = (ref.namespace, _owner(tx, ref))

    def _count(self, name: str) -> None:
        if self._meters is not None:
            self._meters.refused_by_limit(name)


def _owner(tx: MetadataTransaction, ref: ObjectRef) -> str:
    """Return who owns an object, or what it is a part of."""
    root_id = ref.parent_id or ref.id
    is_model = ref.type in {ObjectType.MODEL, ObjectType.MODEL_VERSION}
    record = tx.get(ModelRecord, root_id) if is_model else tx.get(ExperimentRecord, root_id)
    return "" if record is None else record.owner
