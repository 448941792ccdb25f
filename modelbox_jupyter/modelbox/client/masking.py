"""What looks like a secret is masked before it leaves the process: hyperparameters, the command line, patches."""

import re
from collections.abc import Mapping, Sequence

from modelbox.entities.records import Json

__all__ = ["MASK", "masked", "masked_arguments", "masked_text", "without_credentials"]

MASK = "[masked]"

_NAMES = r"token|passw(?:or)?d|passphrase|secret|secret_?key|api_?key|access_?key|private_?key|credentials?"
# The last word of a key decides: `hf_token` and `db.password` are secrets, `tokenizer` and `max_tokens` are not.
_SECRET = re.compile(rf"(?:^|[._\-/ ])(?:{_NAMES})$", re.IGNORECASE)
_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/@:'\"]*)(?P<password>:[^\s/@'\"]*)?@", re.IGNORECASE)
# `hf_token = "…"`, `"password": '…'`, `API_KEY=…` in code, configuration and shell scripts. What stands without quotes is taken for a
# secret when it is long and has a digit: `token = next_token()` is code.
_ASSIGNMENT = re.compile(
    rf"(?P<before>(?<![a-z0-9])(?:[\w.-]*[._-])?(?:{_NAMES})[\"']?\s*(?::|:?=)\s*)(?P<value>\"[^\"\n]+\"|'[^'\n]+'|(?=[^\s\d]*\d)[A-Za-z0-9+/_=.~-]{{16,}})",
    re.IGNORECASE,
)


def masked(params: Mapping[str, Json]) -> tuple[dict[str, Json], list[str]]:
    """Return `params` with the text of secret-looking keys replaced by :data:`MASK`, and which keys those were.

    Numbers and booleans stay: nobody's password is ``512``, but many a ``pad_token`` is.
    """
    hidden = [key for key, value in params.items() if isinstance(value, str | list | dict) and value and _SECRET.search(key)]
    return {**params, **dict.fromkeys(hidden, MASK)}, hidden


def masked_arguments(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which the values of secret-looking options, and passwords in addresses, are masked.

    >>> masked_arguments(["train.py", "--hf-token", "abc", "--lr=0.1", "API_KEY=xyz", "s3://user:pw@host/x"])
    ['train.py', '--hf-token', '[masked]', '--lr=0.1', 'API_KEY=[masked]', 's3://host/x']
    """
    shown: list[str] = []
    value_is_secret = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if value_is_secret and not argument.startswith("-"):
            shown.append(MASK)
        elif equals and _is_option(name) and _SECRET.search(name):
            shown.append(f"{name}={MASK}")
        else:
            shown.append(masked_text(argument))
        value_is_secret = not equals and argument.startswith("-") and _SECRET.search(argument) is not None
    return shown


def _is_option(name: str) -> bool:
    return not re.search(r"\s", name)


def masked_text(text: str) -> str:
    """Return program text in which what is assigned to secret-looking names, and passwords in addresses, are masked."""
    return _ASSIGNMENT.sub(rf"\g<before>{MASK}", without_credentials(text))


def without_credentials(text: str) -> str:
    """Return `text` without user names and passwords in its addresses; the user name of an ssh address without password stays.

    >>> without_credentials("https://ci:hunter2@example.org/a.git"), without_credentials("ssh://git@example.org/a.git")
    ('https://example.org/a.git', 'ssh://git@example.org/a.git')
    """

    def plain(match: re.Match[str]) -> str:
        keeps_user = not match["password"] and match["scheme"].lower().endswith("ssh://")
        return match[0] if keeps_user else match["scheme"]

    return _URL_CREDENTIALS.sub(plain, text)
