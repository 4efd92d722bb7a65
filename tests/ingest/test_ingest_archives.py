"""Archives of any source: the same dataset, and nothing from those that are damaged or lead outside."""

import io
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.ingest import IngestOptions, ingest
from components.ingest.archives import unpack

FORMATS = {"zip": ".zip", "tar": ".tar", "gztar": ".tar.gz", "xztar": ".tar.xz", "bztar": ".tar.bz2"}
MODES = {"tar": "w", "gztar": "w:gz", "xztar": "w:xz", "bztar": "w:bz2"}
FORMS: dict[str, Callable] = {
    "Kaggle's folder": lambda faces, place: faces.kaggle(place / "fer2013"),
    "a split/class folder": lambda faces, place: faces.folder(place),
    "fer2013.csv": lambda faces, place: faces.csv(place / "fer2013" / "fer2013.csv"),
}


def pack(files: dict[str, bytes], kind: str) -> bytes:
    """An archive of a zip's or tar's kind, the members in order."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name), data)
    else:
        with tarfile.open(fileobj=out, mode=MODES[kind]) as archive:
            for name, data in files.items():
                archive.addfile(told(name, size=len(data)), io.BytesIO(data))
    return out.getvalue()


def told(name: str, **fields: object) -> tarfile.TarInfo:
    """A tar's member with these fields."""
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_is_the_same_dataset_as_what_was_packed(form, kind, drawn, known, tmp_path) -> None:
    FORMS[form](drawn, tmp_path / "packed")
    archive = shutil.make_archive(str(tmp_path / "faces"), kind, tmp_path / "packed")
    info = ingest(archive, tmp_path / "work", IngestOptions()).info
    assert info.fingerprint == known
    assert (info.origin.kind, info.origin.name) == ("archive", f"faces{FORMATS[kind]}")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_is_known_by_its_content_whatever_its_name(kind, drawn, known, tmp_path) -> None:
    archive = shutil.make_archive(str(tmp_path / "faces"), kind, drawn.kaggle(tmp_path / "packed"))
    renamed = Path(archive).rename(tmp_path / "download")
    assert ingest(renamed, tmp_path / "work", IngestOptions()).info.fingerprint == known


def test_a_macs_and_windows_extras_are_passed_over(drawn, known, tmp_path) -> None:
    folder = drawn.kaggle(tmp_path / "packed")
    for name in ("__MACOSX/train/happy/._a.png", "train/happy/Thumbs.db", "train/happy/.hidden.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no face")
    archive = shutil.make_archive(str(tmp_path / "faces"), "zip", folder)
    assert ingest(archive, tmp_path / "work", IngestOptions()).info.fingerprint == known


OUTSIDE = ("../x", "a/../../x", "/x", "..\\x", "C:\\x", "\\x", "..")


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_that_leads_outside_is_refused_and_nothing_is_written_there(name, kind, tmp_path) -> None:
    path = tmp_path / f"evil{FORMATS[kind]}"
    path.write_bytes(pack({"good.txt": b"a", name: b"b", "after.txt": b"c"}, kind))
    with pytest.raises(DataError, match="leads outside"):
        unpack(path, tmp_path / "in" / "here")
    assert everything(tmp_path) == {path.name, "in", "in/here", "in/here/good.txt"}
    assert not Path("/x").exists()


LINKS = {
    "a symbolic link": told("link", type=tarfile.SYMTYPE, linkname="/etc"),
    "a hard link": told("link", type=tarfile.LNKTYPE, linkname="good.txt"),
    "a pipe": told("link", type=tarfile.FIFOTYPE),
    "a device": told("link", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
}


@pytest.mark.parametrize("member", LINKS.values(), ids=LINKS)
def test_a_link_or_device_in_a_tar_is_refused(member, tmp_path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(member)
        archive.addfile(told("link/x", size=1), io.BytesIO(b"b"))
    with pytest.raises(DataError, match="'link' is a link or a device"):
        unpack(tmp_path / "evil.tar", tmp_path / "here")
    assert everything(tmp_path) == {"evil.tar", "here"}


def test_a_link_in_a_zip_is_refused(tmp_path) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("link/x", "b")
    with pytest.raises(DataError, match="'link' is a link"):
        unpack(tmp_path / "evil.zip", tmp_path / "here")
    assert everything(tmp_path) == {"evil.zip", "here"}


FILES = {f"train/happy/{i}.bin": bytes([i + 1]) * 700 for i in range(6)}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.5, 0.9])
def test_an_archive_cut_short_is_refused(kind, share, tmp_path) -> None:
    whole = pack(FILES, kind)
    path = tmp_path / f"cut{FORMATS[kind]}"
    path.write_bytes(whole[: int(share * min(len(whole), 6 * 1536))])  # a tar is padded with zeros after its members
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, tmp_path / "here")


@pytest.mark.parametrize("length", [1536, 1536 + 100, 3 * 1536, 6 * 1536])
def test_a_tar_that_ends_between_two_members_is_refused(length, tmp_path) -> None:
    """tarfile by itself reads such a one as whole."""
    (tmp_path / "cut.tar").write_bytes(pack(FILES, "tar")[:length])
    with pytest.raises(DataError, match="ends too early"):
        unpack(tmp_path / "cut.tar", tmp_path / "here")


@pytest.mark.parametrize("entry", range(len(FILES) - 1))
def test_a_zip_whose_directory_breaks_off_is_refused(entry, tmp_path) -> None:
    """zipfile by itself reads such a one as whole: the comment an entry claims swallows the entries after it."""
    raw = pack(FILES, "zip")
    entries = [found.start() for found in re.finditer(b"PK\1\2", raw)]
    length = entries[entry] + 32
    (tmp_path / "bad.zip").write_bytes(raw[:length] + b"\xff\x7f" + raw[length + 2 :])
    with pytest.raises(DataError, match="its directory is damaged"):
        unpack(tmp_path / "bad.zip", tmp_path / "here")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
def test_no_damage_loses_files_in_silence(kind, data, tmp_path) -> None:
    raw = bytearray(pack(FILES, kind))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=3)):
        raw[place] = data.draw(st.integers(0, 255))
    path, target = tmp_path / f"bad{FORMATS[kind]}", tmp_path / "here"
    path.write_bytes(raw)
    shutil.rmtree(target, ignore_errors=True)
    try:
        unpack(path, target)
    except DataError:
        return
    assert len([found for found in target.rglob("*") if found.is_file()]) == len(FILES)


@pytest.mark.parametrize("kind", ["zip", "gztar", "xztar", "bztar"])
def test_damaged_content_is_found_by_its_checksum(kind, tmp_path) -> None:
    raw = bytearray(pack({"a.bin": bytes(range(256)) * 40}, kind))
    raw[len(raw) // 2] ^= 1
    (tmp_path / "bad").write_bytes(raw)
    with pytest.raises(DataError, match=r"(?s)bad cannot be unpacked: .*Make or download it again"):
        unpack(tmp_path / "bad", tmp_path / "here")


def test_a_failed_ingest_leaves_nothing_behind(tmp_path) -> None:
    (tmp_path / "evil.tar").write_bytes(pack({**FILES, "../x": b"b"}, "tar"))
    with pytest.raises(DataError, match="leads outside"):
        ingest(tmp_path / "evil.tar", tmp_path / "work", IngestOptions())
    assert everything(tmp_path) == {"evil.tar", "work"}


@pytest.mark.parametrize(
    ("files", "told"),
    [({}, "faces.zip is empty"), ({"a.zip": pack(FILES, "zip")}, r"holds archives only: name one of them \(a\.zip\)")],
    ids=["empty", "archive in archive"],
)
def test_an_archive_without_a_source_is_told(files, told, tmp_path) -> None:
    (tmp_path / "faces.zip").write_bytes(pack(files, "zip"))
    with pytest.raises(DataError, match=told):
        ingest(tmp_path / "faces.zip", tmp_path / "work", IngestOptions())
