"""What every blob store promises, as tests.

Subclass the suite and provide the ``store`` fixture::

class TestMyBlobs(BlobStoreSuite):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MyBlobStore(...)
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from modelbox.errors import BlobMissing, ChecksumMismatch

if TYPE_CHECKING:
    from modelbox_server.storage.interfaces import BlobInfo, BlobStore

__all__ = ["CONTENT", "BlobStoreSuite", "stored"]

CONTENT = bytes(range(256)) * 5000
"""More than one chunk of a read."""


def stored(store: BlobStore, content: bytes, *, piece_bytes: int = 1 << 16) -> BlobInfo:
    """Store `content` in pieces and return what the store says of it."""
    with store.writer() as writer:
        for start in range(0, len(content), piece_bytes):
            writer.write(memoryview(content)[start : start + piece_bytes])
        return writer.commit()


class BlobStoreSuite:
    """The promises of :class:`modelbox_server.storage.interfaces.BlobStore`."""

    @pytest.fixture
    def store(self) -> BlobStore:
        """Return an empty store."""
        raise NotImplementedError("Provide the fixture 'store' in your subclass.")

    @pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["nothing", "one byte", "many"])
    @pytest.mark.parametrize("piece_bytes", [997, 1 << 22])
    def test_bytes_come_back_with_their_digests(self, store: BlobStore, content: bytes, piece_bytes: int) -> None:
        """However they were cut."""
        info = stored(store, content, piece_bytes=piece_bytes)
        assert (info.size_bytes, info.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert info.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert b"".join(store.read(info.key)) == content
        assert store.size(info.key) == len(content)

    def test_a_buffer_may_be_used_again_at_once(self, store: BlobStore) -> None:
        """A receiver has one buffer for everything that arrives."""
        buffer = bytearray(1 << 20)
        with store.writer() as writer:
            for fill in range(4):
                buffer[:] = bytes([fill]) * len(buffer)
                writer.write(memoryview(buffer))
            info = writer.commit()
        expected = b"".join(bytes([fill]) * len(buffer) for fill in range(4))
        assert info.md5 == hashlib.md5(expected, usedforsecurity=False).hexdigest()
        assert b"".join(store.read(info.key)) == expected

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1), (5, None), (255, 70_000), (0, None), (1_279_999, None), (10, 10), (0, 10**9), (10**9, None)]
    )
    def test_a_part_is_read_without_the_rest(self, store: BlobStore, start: int, stop: int | None) -> None:
        """A stop beyond the end is the end."""
        info = stored(store, CONTENT)
        assert b"".join(store.read(info.key, start, stop)) == CONTENT[start:stop]

    def test_reads_come_in_chunks_of_bounded_size(self, store: BlobStore) -> None:
        """So that memory does not grow with the artifact."""
        info = stored(store, CONTENT)
        chunks = list(store.read(info.key, 3, chunk_bytes=1000))
        assert max(map(len, chunks)) <= 1000
        assert b"".join(chunks) == CONTENT[3:]

    def test_the_same_bytes_are_kept_once(self, store: BlobStore) -> None:
        """And have one key."""
        assert stored(store, CONTENT) == stored(store, CONTENT, piece_bytes=1 << 20)
        assert len(list(store.keys())) == 1

    def test_leaving_without_commit_drops_the_bytes(self, store: BlobStore) -> None:
        """By an error or by forgetting it."""
        with store.writer() as writer:
            writer.write(CONTENT)

        def break_off() -> None:
            with store.writer() as writer:
                writer.write(CONTENT)
                raise RuntimeError("the connection broke")

        with pytest.raises(RuntimeError):
            break_off()
        assert list(store.keys()) == []

    def test_bytes_are_not_seen_before_commit(self, store: BlobStore) -> None:
        """Not under their key, and not in the list."""
        key = stored(store, CONTENT).key
        store.delete(key)
        with store.writer() as writer:
            writer.write(CONTENT)
            assert list(store.keys()) == []
            with pytest.raises(BlobMissing):
                store.size(key)
            assert writer.commit().key == key
        assert list(store.keys()) == [key]

    @pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"md5": "0" * 32}, {"size_bytes": 1}], ids=["sha256", "md5", "size"])
    def test_bytes_that_are_not_what_was_declared_are_refused(self, store: BlobStore, wrong: dict[str, str]) -> None:
        """Nothing is stored."""
        with store.writer() as writer:
            writer.write(CONTENT)
            with pytest.raises(ChecksumMismatch, match="nothing was stored"):
                writer.commit(**wrong)  # type: ignore[arg-type]
        assert list(store.keys()) == []

    def test_bytes_that_are_what_was_declared_are_stored(self, store: BlobStore) -> None:
        """Digests may be written in capitals."""
        md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
        with store.writer() as writer:
            writer.write(CONTENT)
            info = writer.commit(sha256=hashlib.sha256(CONTENT).hexdigest().upper(), md5=md5, size_bytes=len(CONTENT))
        assert store.size(info.key) == len(CONTENT)

    def test_a_digest_that_is_known_before_changes_nothing_for_the_right_bytes(self, store: BlobStore) -> None:
        """It may be written in capitals."""
        digest = hashlib.sha256(CONTENT).hexdigest()
        with store.writer(sha256=digest.upper()) as writer:
            writer.write(CONTENT)
            assert writer.commit(sha256=digest).key == digest
        assert b"".join(store.read(digest)) == CONTENT

    def test_a_digest_that_is_known_before_refuses_other_bytes(self, store: BlobStore) -> None:
        """What is stored under it stays as it is."""
        info = stored(store, CONTENT)
        with store.writer(sha256=info.sha256) as writer:
            writer.write(CONTENT[::-1])
            with pytest.raises(ChecksumMismatch, match="nothing was stored"):
                writer.commit()
        assert list(store.keys()) == [info.key]
        assert b"".join(store.read(info.key)) == CONTENT

    def test_entries_tell_size_and_age(self, store: BlobStore) -> None:
        """The age is that of the last time the bytes were stored, by the clock of the store, which may count whole seconds."""
        infos = [stored(store, CONTENT), stored(store, b"x")]
        entries = {entry.key: entry for entry in store.entries()}
        assert {key: entry.size_bytes for key, entry in entries.items()} == {info.key: info.size_bytes for info in infos}
        assert all(-2 <= entry.age_s < 600 for entry in entries.values())
        assert -2 <= store.age_s(infos[0].key) < 600
        with pytest.raises(BlobMissing):
            store.age_s("0" * 64)

    def test_cleaning_leaves_what_is_stored_and_what_is_under_way(self, store: BlobStore) -> None:
        """And finds nothing where every writer ended well."""
        info = stored(store, CONTENT)
        with store.writer() as writer:
            writer.write(CONTENT)
            store.clean(3600.0)
            assert writer.commit().key == info.key
        assert list(store.keys()) == [info.key]
        left = store.clean(0.0, dry_run=True)
        assert (left.count, left.size_bytes) == (0, 0)

    @pytest.mark.parametrize("key", ["0" * 64, "", "..", "../../etc/passwd", "a" * 63 + "/", "A" * 64])
    def test_what_is_not_stored_is_missing(self, store: BlobStore, key: str) -> None:
        """Whatever the key looks like, and already when the read is asked for."""
        with pytest.raises(BlobMissing):
            store.size(key)
        with pytest.raises(BlobMissing):
            store.read(key)
        assert store.delete(key) is False

    def test_what_was_deleted_is_missing(self, store: BlobStore) -> None:
        """And may be stored again."""
        info = stored(store, CONTENT)
        assert store.delete(info.key) is True
        assert store.delete(info.key) is False
        with pytest.raises(BlobMissing):
            store.read(info.key)
        assert stored(store, CONTENT) == info

    def test_a_reader_under_way_may_finish_after_a_deletion(self, store: BlobStore) -> None:
        """It began when the bytes were there."""
        info = stored(store, CONTENT)
        chunks = store.read(info.key, chunk_bytes=1000)
        first = next(chunks)
        store.delete(info.key)
        assert first + b"".join(chunks) == CONTENT

    def test_threads_may_store_at_once(self, store: BlobStore) -> None:
        """The same bytes and different ones."""
        contents = [CONTENT, *(bytes([index]) * 200_000 for index in range(6)), CONTENT]
        with ThreadPoolExecutor(8) as pool:
            infos = list(pool.map(lambda content: stored(store, content), contents))
        assert sorted(store.keys()) == sorted({info.key for info in infos})
        assert all(b"".join(store.read(info.key)) == content for info, content in zip(infos, contents, strict=True))

    def test_a_store_that_works_says_so(self, store: BlobStore) -> None:
        """And the question leaves nothing behind."""
        store.check()
        assert list(store.keys()) == []
