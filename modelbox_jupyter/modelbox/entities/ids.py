"""Identifiers: 40 lower-case hex digits, derived from content where ModelBox derived them in 2022, random elsewhere.

The derived ones are SHA-1 over the plain concatenation of their parts. They are names, not a security feature. Concatenation is ambiguous
(``"ab" + "c" == "a" + "bc"``) and an experiment and a model of one name share a digest; the services therefore check what an id already
stands for, and fall back to :func:`salted_id`.
"""

import hashlib
import re
import secrets

__all__ = [
    "action_id",
    "action_instance_id",
    "agent_id",
    "checkpoint_id",
    "experiment_id",
    "file_id",
    "is_id",
    "member_id",
    "model_id",
    "model_version_id",
    "random_id",
    "salted_id",
]

_ID = re.compile(r"[0-9a-f]{40}")


def _sha1(*parts: str) -> str:
    return hashlib.sha1("".join(parts).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def experiment_id(name: str, namespace: str) -> str:
    """Return the id of the experiment that `name` always means in `namespace`.

    >>> experiment_id("wav2vec", "langtech")
    'e71a25a8d3d481463c281f083f5e2671ea2896bc'
    """
    return _sha1(name, namespace)


def checkpoint_id(experiment: str, epoch: int) -> str:
    """Return the id of the checkpoint of `experiment` (an id) at `epoch`.

    >>> checkpoint_id("e71a25a8d3d481463c281f083f5e2671ea2896bc", 1)
    '97f7fccf8d2d67aa78d7d58a86b5d938ddff9f38'
    """
    return _sha1(experiment, str(epoch))


def model_id(name: str, namespace: str) -> str:
    """Return the id of the model `name` in `namespace`.

    >>> model_id("asr_en", "langtech")
    '93b7cf0bec10ff6d500a9273bc34ab7eff02eeca'
    """
    return _sha1(name, namespace)


def model_version_id(model: str, version: str, name: str) -> str:
    """Return the id of one `version` of `model` (an id).

    >>> model_version_id("93b7cf0bec10ff6d500a9273bc34ab7eff02eeca", "1", "asr_en_july")
    '0ae662556996e18f364a41b82cd1a4e043062687'
    """
    return _sha1(model, version, name)


def file_id(parent: str, type_number: int, checksum_md5: str) -> str:
    """Return the id of a file of `parent` with this content; `type_number` is the number of its type on the 2022 wire.

    >>> file_id("e71a25a8d3d481463c281f083f5e2671ea2896bc", 0, "0019d23bef56a136a1891211d7007f6f")
    '3732697ec8c3808753130b69197b6289e88b4c96'
    """
    return _sha1(parent, str(type_number), checksum_md5)


def action_id(name: str, parent: str, arch: str, predicate: str, params: str) -> str:
    """Return the id of an action on `parent`; `params` are JSON with sorted keys, whose order was left to chance in 2022."""
    return _sha1(name, parent, arch, predicate, params)


def action_instance_id(action: str, attempt: int) -> str:
    """Return the id of one time that an `action` (an id) is to be done."""
    return _sha1(action, str(attempt))


def agent_id(name: str, host_name: str, ip_addr: str, arch: str) -> str:
    """Return the id of the agent `name` on a machine."""
    return _sha1(name, host_name, ip_addr, arch)


def member_id(host_name: str, rpc_addr: str, http_addr: str) -> str:
    """Return the id of a server among those that share a store."""
    return _sha1(host_name, rpc_addr, http_addr)


def random_id() -> str:
    """Return a fresh id with 160 random bits."""
    return secrets.token_hex(20)


def salted_id(kind: str, *parts: str) -> str:
    """Return a second derived id, for when the plain digest already stands for something else.

    The parts are length-prefixed, so that this one is unambiguous.
    """
    return _sha1("modelbox", *(f"\0{len(part)}:{part}" for part in (kind, *parts)))


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of an id."""
    return _ID.fullmatch(text) is not None
