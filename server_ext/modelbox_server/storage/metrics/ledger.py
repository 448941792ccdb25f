"""Batches that come twice: one rule and one sentence for every metrics store."""

from modelbox.errors import BatchConflict, shortened
from modelbox_server.storage.interfaces import AppendOutcome, BatchKey

__all__ = ["repeated"]


def repeated(batch: BatchKey, stored_digest: bytes, stored_points: int) -> AppendOutcome:
    """Return the outcome of a batch whose (client, number) was stored before.

    Raises
    ------
    BatchConflict
        It was stored with other content.
    """
    if stored_digest != batch.digest:
        raise BatchConflict(
            f"Batch {batch.number} of client {shortened(batch.client)} was stored before with other points, and nothing was written now: "
            "give every batch a number of its own.",
            stored_points=stored_points,
        )
    return AppendOutcome(stored_points, duplicate=True)
