"""What a pool of connections tells of itself."""

from collections.abc import Mapping
from typing import cast

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

__all__ = ["pool_status"]


def pool_status(engine: sa.Engine) -> Mapping[str, int]:
    """Return how many connections there may be, are open, and are in use now; costs nothing."""
    pool = cast(QueuePool, engine.pool)
    in_use = pool.checkedout()
    return {"size": pool.size(), "open": in_use + pool.checkedin(), "in_use": in_use}
