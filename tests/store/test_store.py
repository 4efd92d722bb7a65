"""Both homes of the store, the S3 one against a real server over HTTP."""

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import StoreError, StoreNotFound, StoreUnreachable
from components.store import ABANDONED_S, INDEX, UNREAD_S, LocalStore, S3Store, Store, local, open_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("first")
    (source / "deep" / "b.bin").write_bytes(bytes(range(256)) * 1000)
    return source


def test_a_folder_comes_back_as_it_went_in(store: Store, folder: Path, tmp_path: Path) -> None:
    uri = store.put_folder(folder, "datasets/one")
    back = store.fetch(uri, tmp_path / "cache")
    assert (back / "a.txt").read_text() == "first"
    assert (back / "deep" / "b.bin").read_bytes() == (folder / "deep" / "b.bin").read_bytes()
    assert store.exists(uri)
    assert store.exists("datasets/one")


def test_a_complete_version_is_kept(store: Store, folder: Path, tmp_path: Path) -> None:
    uri = store.put_folder(folder, "datasets/one")
    (folder / "a.txt").write_text("second")
    assert store.put_folder(folder, "datasets/one") == uri
    assert (store.fetch(uri, tmp_path / "cache") / "a.txt").read_text() == "first"


def test_a_folder_without_its_index_is_not_there(store: Store, folder: Path, tmp_path: Path) -> None:
    uri = store.put_folder(folder, "datasets/one")
    store.delete(f"datasets/one/{INDEX}")
    assert not store.exists(uri)
    with pytest.raises(StoreNotFound):
        store.fetch(uri, tmp_path / "cache")
    store.put_folder(folder, "datasets/one")
    assert store.exists(uri)


def test_a_damaged_file_is_refused(store: Store, folder: Path, tmp_path: Path) -> None:
    uri = store.put_folder(folder, "datasets/one")
    store.put_bytes("datasets/one/a.txt", b"other")
    with pytest.raises(StoreError, match="damaged"):
        store.fetch(uri, tmp_path / "cache")


def test_what_was_deleted_is_not_served_from_a_copy_but_a_server_that_is_away_does_not_matter(
    s3: S3Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3.put_folder(folder, "datasets/one")
    copy = s3.fetch(uri, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(s3.client, "stat_object", unreachable)
        assert s3.fetch(uri, tmp_path / "cache") == copy
    s3.delete(uri)
    with pytest.raises(StoreNotFound):
        s3.fetch(uri, tmp_path / "cache")
    assert not copy.exists()


def unreachable(*_: object) -> None:
    raise OSError("nobody answers")


def test_a_damaged_local_copy_is_fetched_again(s3: S3Store, folder: Path, tmp_path: Path) -> None:
    uri = s3.put_folder(folder, "datasets/one")
    copy = s3.fetch(uri, tmp_path / "cache")
    (copy / "a.txt").write_text("broken")
    assert (s3.fetch(uri, tmp_path / "cache") / "a.txt").read_text() == "first"


def test_a_copy_that_nobody_has_asked_for_in_weeks_goes_when_another_comes(
    s3: S3Store, folder: Path, tmp_path: Path
) -> None:
    cache, then = tmp_path / "cache", time.time() - UNREAD_S - 60
    read, unread, new = (s3.put_folder(folder, f"datasets/{name}") for name in ("read", "unread", "new"))
    for copy in [s3.fetch(uri, cache) for uri in (read, unread)]:
        os.utime(copy, (then, then))
    kept = {s3.fetch(read, cache), s3.fetch(new, cache)}
    assert set(cache.iterdir()) == kept


def test_objects_are_listed_read_and_deleted(store: Store) -> None:
    for number in (2, 1, 10):
        store.put_bytes(f"ledger/m/{number:03}.json", json.dumps(number).encode())
    assert store.list("ledger/m/") == ["ledger/m/001.json", "ledger/m/002.json", "ledger/m/010.json"]
    assert store.list("ledger/m/01") == ["ledger/m/010.json"]
    assert store.read_bytes("ledger/m/002.json") == b"2"
    store.delete("ledger/m/002.json")
    assert not store.exists("ledger/m/002.json")
    store.delete("ledger/m/002.json")
    with pytest.raises(StoreNotFound):
        store.read_bytes("ledger/m/002.json")


def test_a_write_under_way_is_not_listed(s3: S3Store, tmp_path: Path) -> None:
    """As some servers of S3 would have it while they write, and as a local writer's file lies there."""
    local = LocalStore(tmp_path / "local")
    for store in (s3, local):
        store.put_bytes("log/a.json", b"{}")
        store.put_bytes("log/mine.tmp", b"{}")
        store.put_bytes(f"log/.tmp.{'2b1f' * 8}", b"{")
        store.put_bytes(f"log/.a.json.{'2b1f' * 8}.tmp", b"{")
        store.put_bytes(f"log/.a.{'2b1f' * 8}.tmp/file", b"{")
        assert store.list("log/") == list(store.stamps("log/")) == ["log/a.json", "log/mine.tmp"]


def test_create_takes_a_free_name_once(store: Store) -> None:
    assert store.create("claim", b"first")
    assert not store.create("claim", b"second")
    assert store.read_bytes("claim") == b"first"


def test_of_many_local_writers_one_creates(tmp_path: Path) -> None:
    store, won = LocalStore(tmp_path), []
    threads = [threading.Thread(target=lambda i=i: won.append(store.create("claim", b"%d" % i))) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["claim"]


class Taken(BaseHTTPRequestHandler):
    """A server on which every name has just been taken by another writer."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(412 if self.headers["If-None-Match"] == "*" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_name_that_another_takes_after_the_look_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Taken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = S3Store("s3://faces/x", f"127.0.0.1:{server.server_port}", "k", "s", "us-east-1")
        monkeypatch.setattr(store, "_stat", lambda uri: False)
        made = store.create("claim", b"second")
        server.shutdown()
    assert not made


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_here_is_not_taken_for_a_server_that_is_away(
    s3: S3Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3.put_folder(folder, "datasets/one")
    with monkeypatch.context() as patch:
        patch.setattr(s3.client, "fget_object", full)
        with pytest.raises(StoreError, match=r"disk, not the server, .*No space left .* at .*cache.*make room") as away:
            s3.fetch(uri, tmp_path / "cache")
        assert not isinstance(away.value, StoreUnreachable)
    with monkeypatch.context() as patch:
        patch.setattr(s3.client, "fput_object", full)
        with pytest.raises(StoreError, match=r"No space left .* at .*source") as away:
            s3.put_folder(folder, "datasets/two")
        assert not isinstance(away.value, StoreUnreachable)


@pytest.mark.parametrize(
    ("step", "write"),
    [
        ((os, "fsync"), lambda store, folder: store.put_bytes("log/a.parquet", b"face")),
        ((os, "replace"), lambda store, folder: store.put_bytes("log/a.parquet", b"face")),
        ((os, "link"), lambda store, folder: store.create("log/a.parquet", b"face")),
        ((shutil, "copystat"), lambda store, folder: store.put_folder(folder, "log/one")),
        ((local, "rename_folder"), lambda store, folder: store.put_folder(folder, "log/one")),
    ],
)
def test_a_local_write_that_fails_leaves_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str],
    write: Callable[[LocalStore, Path], object],
) -> None:  # fmt: skip
    monkeypatch.setattr(*step, full)
    with pytest.raises(OSError, match="No space left"):
        write(LocalStore(tmp_path / "store"), folder)
    assert list((tmp_path / "store" / "log").iterdir()) == []


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.put_bytes("log/b.parquet", b"face"),
        lambda store: store.create("log/b.parquet", b"face"),
        lambda store: store.delete("log/a.parquet"),
    ],
)
def test_what_a_killed_writer_left_beside_an_object_goes_after_a_day(
    tmp_path: Path, act: Callable[[LocalStore], object]
) -> None:
    store, then = LocalStore(tmp_path), time.time() - ABANDONED_S - 60
    store.put_bytes("log/a.parquet", b"face")
    old, young = (tmp_path / "log" / f".a.parquet.{digit * 32}.tmp" for digit in "ab")
    for path in (old, young):
        path.write_bytes(b"fa")
    os.utime(old, (then, then))
    act(store)
    assert not old.exists()
    assert young.exists(), "its writer may be at it"


@pytest.mark.parametrize("name", ["../outside", "/etc/x", "a/../../b", ""])
def test_a_name_outside_the_store_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        LocalStore(tmp_path / "inner").put_folder(folder, name) if not name.startswith("/") else open_store(
            "s3://faces/x", endpoint="127.0.0.1:1", access_key="k", secret_key="s"
        ).put_folder(folder, name)


@given(
    files=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.[a-z]{1,3}", fullmatch=True), st.binary(max_size=999), max_size=5
    )
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_folder_survives_the_round_trip(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("round")
    (root / "in").mkdir()
    for name, data in files.items():
        path = root / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    store = LocalStore(root / "store")
    back = store.fetch(store.put_folder(root / "in", "x"), root / "cache")
    assert {
        p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file() and p.name != INDEX
    } == files


def test_a_large_file_goes_up_in_parts(s3: S3Store, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.mkdir()
    data = bytes(range(251)) * 150_000  # 38 MB, three parts
    (source / "images.npy").write_bytes(data)
    uri = s3.put_folder(source, "datasets/large")
    assert (s3.fetch(uri, tmp_path / "cache") / "images.npy").read_bytes() == data


def test_a_wrong_key_is_explained(s3_endpoint: str) -> None:
    store = S3Store("s3://faces/x", s3_endpoint, "ferline-test", "wrong", "us-east-1")
    with pytest.raises(StoreUnreachable, match="FERLINE_S3_ACCESS_KEY"):
        store.put_bytes("a", b"")


def test_a_missing_bucket_is_named(s3_endpoint: str) -> None:
    store = S3Store("s3://nowhere/x", s3_endpoint, "ferline-test", "ferline-test-secret", "us-east-1")
    with pytest.raises(StoreUnreachable, match="nowhere"):
        store.put_bytes("a", b"x")


def test_an_unreachable_server_is_named() -> None:
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:9"):
        S3Store("s3://faces/x", "127.0.0.1:9", "k", "s", "us-east-1").read_bytes("a")


def test_s3_without_credentials_says_which_settings_are_missing() -> None:
    with pytest.raises(StoreError, match="FERLINE_S3_SECRET_KEY"):
        open_store("s3://faces/x", endpoint="127.0.0.1:9000")
