"""Hyperparameters that look like secrets are masked before they leave the process."""

import re
from collections.abc import Mapping

from modelbox.entities.records import Json

__all__ = ["MASK", "masked"]

MASK = "[masked]"

# The last word of a key decides: `hf_token` and `db.password` are secrets, `tokenizer` and `max_tokens` are not.
_SECRET = re.compile(
    r"(?:^|[._\-/ ])(?:token|passw(?:or)?d|passphrase|secret|secret_?key|api_?key|access_?key|private_?key|credentials?)$", re.IGNORECASE
)


def masked(params: Mapping[str, Json]) -> tuple[dict[str, Json], list[str]]:
    """Return `params` with the text of secret-looking keys replaced by :data:`MASK`, and which keys those were.

    Numbers and booleans stay: nobody's password is ``512``, but many a ``pad_token`` is.
    """
    hidden = [key for key, value in params.items() if isinstance(value, str | list | dict) and value and _SECRET.search(key)]
    return {**params, **dict.fromkeys(hidden, MASK)}, hidden
