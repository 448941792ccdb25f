"""How much users and namespaces may have and do: what the settings say, and what an operator set for some of them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

from modelbox.entities.ids import salted_id
from modelbox.entities.names import checked_name, checked_namespace
from modelbox.entities.records import ChangeKind, LimitRecord, ObjectRef, ObjectType, Role
from modelbox.errors import InvalidRequest, PermissionDenied, shortened
from modelbox.wire.limits import LimitShown
from modelbox.wire.messages import Page
from modelbox_server.service.changes import note
from modelbox_server.service.paging import sealed, shown_limit, unsealed
from modelbox_server.storage.interfaces import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelbox.wire.limits import LimitSet, LimitsQuery
    from modelbox_server.service.context import Caller, Clock
    from modelbox_server.service.usage import Usage
    from modelbox_server.storage.interfaces import MetadataStore

__all__ = ["Limits", "LimitsService", "namespace_subject", "user_subject"]

_KNOWN_S: Final = 2.0
_USER, _NAMESPACE = "user:", "namespace:"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may have (bytes of artifacts, points, experiments) and do in a second; 0 stands for no limit."""

    size_bytes: int = 0
    points: int = 0
    experiments: int = 0
    requests_per_s: int = 0
    points_per_s: int = 0


_NONE = Limits()


def user_subject(name: str) -> str:
    """Return how limits call a user."""
    return f"{_USER}{name}"


def namespace_subject(path: str) -> str:
    """Return how limits call a namespace with everything below it."""
    return f"{_NAMESPACE}{path}"


class LimitsService:
    """Set and list limits, and know them without asking the store each time.

    Parameters
    ----------
    metadata
        Where those that were set are kept; other servers hear of them within seconds.
    usage
        Tells what there is.
    defaults
        What holds for users of whom nothing was said.
    clock, monotonic_s
        The time, and seconds that never run backwards.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        usage: Usage,
        defaults: Limits,
        clock: Clock,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._usage = usage
        self._defaults = defaults
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._known: Mapping[str, Limits] = {}
        self._names: frozenset[str] = frozenset()
        self._looked_at_s = float("-inf")
        self._looking = threading.Lock()

    # --- for operators -------------------------------------------------------------------------------------------------------------------

    def set(self, caller: Caller, request: LimitSet) -> LimitShown:
        """Limit a user or a namespace.

        Raises
        ------
        PermissionDenied
            Something is denied to the caller.
        InvalidRequest
            The subject is nobody, or a namespace is to have a rate.
        """
        if not caller.access.is_everything:
            raise PermissionDenied("Limits are set by whoever may do everything here: ask the operator of the server.")
        subject = _checked(caller, request.subject)
        if subject.startswith(_NAMESPACE) and (request.requests_per_s or request.points_per_s):
            raise InvalidRequest("A namespace has no rate: set requests_per_s and points_per_s for users.", field="requests_per_s")
        at = self._clock()
        given = {name: getattr(request, name) for name in Limits.__struct_fields__}
        record = LimitRecord(id=salted_id("limit", subject), subject=subject, set_by=caller.name, created_at=at, **given)
        with self._metadata.write(record.id) as tx:
            if any(value is not None for value in given.values()):
                tx.put([record])
            else:
                tx.delete(LimitRecord, [Condition("id", "eq", record.id)])
            about = subject.removeprefix(_NAMESPACE) if subject.startswith(_NAMESPACE) else "/"
            of = ObjectRef(id=record.id, type=ObjectType.EXPERIMENT, namespace=about)
            note(tx, caller, ChangeKind.UPDATED, of, at, object_type="limit", payload={"new": {"subject": subject, **given}})
        self._look()
        return self._shown(subject)

    def list(self, caller: Caller, query: LimitsQuery) -> Page[LimitShown]:
        """Return limits and what there is: those of the caller and of namespaces that they may read, or all of them."""
        limit = shown_limit(query.limit)
        self._look()
        own = user_subject(caller.name)
        subjects = sorted({own, *self._known}) if query.subject is None else [_checked(caller, query.subject)]
        seen = [subject for subject in subjects if caller.access.is_everything or subject == own or _is_readable(caller, subject)]
        asked = f"limits {query.subject}".encode()
        after = "" if query.page_token is None else str(unsealed(query.page_token, asked))
        page = [subject for subject in seen if subject > after]
        more = sealed(page[limit - 1], asked) if len(page) > limit else None
        return Page(items=[self._shown(subject) for subject in page[:limit]], next_page_token=more, limit=limit)

    def _shown(self, subject: str) -> LimitShown:
        limits = self.of_user(subject.removeprefix(_USER)) if subject.startswith(_USER) else self._known.get(subject, _NONE)
        used = self._usage.measured(subject)
        return LimitShown(
            subject=subject,
            used_bytes=used.size_bytes,
            used_points=used.points,
            used_experiments=used.experiments,
            **msgspec.structs.asdict(limits),
        )

    # --- for whoever obeys them ----------------------------------------------------------------------------------------------------------

    @property
    def is_stale(self) -> bool:
        """Whether the store should be asked again what was set."""
        return self._monotonic_s() - self._looked_at_s > _KNOWN_S

    def refresh(self) -> None:
        """Ask the store what was set, if that was not done a moment ago; never from an event loop."""
        if self.is_stale and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()

    def has_any(self, name: str) -> bool:
        """Tell whether anybody has a limit of this name."""
        return name in self._names

    def of_user(self, name: str) -> Limits:
        """Return what holds for a user."""
        return self._known.get(user_subject(name), self._defaults)

    def of_namespaces(self, path: str) -> Iterator[tuple[str, Limits]]:
        """Yield the limits of a namespace, and of those above it, each with its subject."""
        steps = path.split("/")
        for end in range(1, len(steps) + 1):
            subject = namespace_subject("/".join(steps[:end]))
            if subject in self._known:
                yield subject, self._known[subject]

    def _look(self) -> None:
        known: dict[str, Limits] = {}
        with self._metadata.read() as tx:
            records = tx.select(LimitRecord)
        for record in records:
            base = self._defaults if record.subject.startswith(_USER) else _NONE
            given = {name: getattr(record, name) for name in Limits.__struct_fields__}
            known[record.subject] = msgspec.structs.replace(base, **{name: value for name, value in given.items() if value is not None})
        self._known = known
        every = [self._defaults, *known.values()]
        self._names = frozenset(name for name in Limits.__struct_fields__ if any(getattr(one, name) for one in every))
        self._looked_at_s = self._monotonic_s()


def _checked(caller: Caller, subject: str) -> str:
    kind, colon, name = subject.partition(":")
    if colon and kind == "user":
        return user_subject(checked_name(name, "user", field="subject"))
    if colon and kind == "namespace":
        return namespace_subject(checked_namespace(caller.namespace(name), field="subject"))
    raise InvalidRequest(
        f"The subject {shortened(subject, 60)} is none: write user:NAME or namespace:PATH.",
        field="subject",
    )


def _is_readable(caller: Caller, subject: str) -> bool:
    return subject.startswith(_NAMESPACE) and caller.access.has(Role.READER, subject.removeprefix(_NAMESPACE))
