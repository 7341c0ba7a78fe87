"""Archives: whatever they declare, only whole honest members come out, and never too much."""

from __future__ import annotations

import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from studies.dicom import unzip
from studies.dicom.read import Refused
from tests.dicom.zips import Entry, archive, by_hand, deflated, quoted_overlap, streamed

CAPS = unzip.Caps(member_bytes=4 * 1024**2, total_bytes=16 * 1024**2, members=50)
FILES = {"IM_0001": b"a" * 1000, "folder/IM_0002": bytes(range(256)) * 64, "empty": b""}


def taken_out(data: bytes, folder: Path, caps: unzip.Caps = CAPS) -> dict[str, bytes | str]:
    """Each member's bytes, or the sentence that refused it."""
    path = folder / "x.zip"
    path.write_bytes(data)
    assert unzip.is_archive(path)
    out: dict[str, bytes | str] = {}
    counted = unzip.Unpacked(caps)
    counted.begin(len(data))
    with path.open("rb") as handle:
        for member in unzip.members_of(handle, caps):
            target = folder / "member"
            try:
                unzip.unpack(handle, member, target, counted)
                out[member.name] = target.read_bytes()
            except unzip.Bomb:
                raise
            except Refused as refused:
                out[member.name] = str(refused)
    assert {one.name for one in folder.iterdir()} <= {"x.zip", "member"}
    return out


@pytest.mark.parametrize("make", [archive, streamed])
def test_an_ordinary_archive_gives_its_files(tmp_path, make):
    expected = {name.rpartition("/")[2]: data for name, data in FILES.items()}
    assert taken_out(make(FILES), tmp_path) == expected


def test_stored_members_and_a_comment(tmp_path):
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.comment = b"exported on Monday"
        target.mkdir("folder")
        for name, data in FILES.items():
            target.writestr(name, data)
    data = path.read_bytes()
    path.unlink()
    assert set(taken_out(data, tmp_path)) == {"IM_0001", "IM_0002", "empty"}


def test_what_systems_put_beside_files_is_left_out(tmp_path):
    made = archive({"a": b"1", "__MACOSX/._a": b"2", "x/.DS_Store": b"3", "Thumbs.db": b"4"})
    assert taken_out(made, tmp_path) == {"a": b"1"}


NAMES = {
    "up": (b"../../etc/cron.d/x", "x"),
    "absolute": (b"/etc/passwd", "passwd"),
    "drive": (b"C:\\Windows\\x.dll", "x.dll"),
    "nul": (b"a\0b", "a�b"),
    "turned": ("a\u202egpj.dcm".encode(), "a�gpj.dcm"),
    "long": (b"n" * 5000, "n" * 255),
    "broken utf-8": (b"\xff\xfe", "��"),
    "newline": (b"a\r\nb", "a��b"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_no_name_becomes_a_path_or_steers_a_page(tmp_path, kind):
    name, shown = NAMES[kind]
    flags = 1 << 11 if kind in {"turned", "broken utf-8"} else 0
    assert taken_out(by_hand([Entry(name, b"data", flags=flags)]), tmp_path) == {shown: b"data"}


def test_case_twins_are_two_files(tmp_path):
    made = by_hand([Entry(b"a", b"1"), Entry(b"A", b"2")])
    assert taken_out(made, tmp_path) == {"a": b"1", "A": b"2"}


LINK = {"attributes": (stat.S_IFLNK | 0o777) << 16}
GOOD = Entry(b"good", b"good")
MEMBERS = {
    "a link": (Entry(b"x", b"/etc/passwd", **LINK), "link"),
    "another way to pack": (Entry(b"x", b"data", method=14), "not supported"),
    "larger than it says": (Entry(b"x", b"data" * 1000, size=4), "damaged"),
    "smaller than it says": (Entry(b"x", b"data", size=4000), "damaged"),
    "another sum": (Entry(b"x", b"data", crc=1), "damaged"),
    "noise": (Entry(b"x", b"data", body=b"\xff" * 6, packed=6), "damaged"),
    "cut short": (Entry(b"x", bytes(9999), body=deflated(bytes(9999))[:9], packed=9), "damaged"),
    "more behind its end": (
        Entry(b"x", b"data", body=deflated(b"data") + b"more", packed=len(deflated(b"data")) + 4),
        "damaged",
    ),
    "too large by its word": (Entry(b"x", b"", size=5 * 1024**2), "larger than 4 MB"),
    "too large in truth": (Entry(b"x", bytes(5 * 1024**2), size=9), "larger than 4 MB"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_bad_member_does_not_cost_the_good_ones(tmp_path, kind):
    entry, expected = MEMBERS[kind]
    found = taken_out(by_hand([GOOD, entry, Entry(b"last", b"last")]), tmp_path)
    assert expected in str(found["x"])
    assert (found["good"], found["last"]) == (b"good", b"last")


TWO = [Entry(b"a", b"1"), Entry(b"b", b"2")]
WHOLE = {
    "cut short": (lambda: archive(FILES)[:-30], "cut short"),
    "no file": (lambda: by_hand([]), "without files"),
    "folders only": (lambda: by_hand([Entry(b"a/", b"")]), "without files"),
    "a password": (lambda: by_hand([GOOD, Entry(b"x", b"data", flags=1)]), "password"),
    "the same bytes twice": (lambda: by_hand(TWO, at=[0, 0]), "damaged"),
    "overlap": (lambda: quoted_overlap(20, 1), "damaged"),
    "a header in another place": (lambda: by_hand(TWO, at=[0, 5]), "damaged"),
    "a header far outside": (lambda: by_hand(TWO, at=[0, 2**31]), "damaged"),
    "bytes before it": (
        lambda: by_hand(TWO, prefix=b"PK\x03\x04" + bytes(40), at=[0, 32]),
        "damag",
    ),
    "bytes behind it": (lambda: by_hand(TWO, suffix=b"<script>"), "damaged"),
    "too many": (lambda: by_hand([Entry(b"%d" % n, b"") for n in range(51)]), "more than 50 files"),
    "too much by its word": (
        lambda: by_hand([Entry(b"%d" % n, b"", size=4 * 1024**2) for n in range(5)]),
        "more than 16 MB",
    ),
    "too much in truth": (
        lambda: by_hand([Entry(b"%d" % n, bytes(4 * 1024**2), size=1) for n in range(5)]),
        "more than 16 MB",
    ),
    "a directory that lies about its length": (
        lambda: archive(FILES)[:-22] + archive(FILES)[-22:-10] + b"\xff\xff\0\0" + bytes(6),
        "damaged",
    ),
    "noise for an end": (lambda: b"PK\x03\x04" + b"PK\x05\x06" * 300, "damaged"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_bad_archive_is_refused_as_a_whole(tmp_path, kind):
    make, expected = WHOLE[kind]
    with pytest.raises(Refused, match=expected) as refused:
        taken_out(make(), tmp_path)
    assert str(refused.value).endswith(".")
    assert not (tmp_path / "member").exists() or (tmp_path / "member").stat().st_size <= 4 * 1024**2


def test_the_ratio_counts_what_comes_out(tmp_path):
    """100 MB of zeros, honest about their size, from 100 kB."""
    wide = unzip.Caps(member_bytes=2**30, total_bytes=2**33)
    made = by_hand([Entry(b"x", bytes(100 * 1024**2))])
    assert len(made) < 200 * 1024
    tracemalloc.start()
    try:
        with pytest.raises(unzip.Bomb, match="far more than images do"):
            taken_out(made, tmp_path, wide)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024**2
    assert (tmp_path / "member").stat().st_size <= 64 * 1024**2


def test_a_dicom_file_with_an_archive_for_a_preamble_is_dicom(tmp_path):
    path = tmp_path / "both"
    path.write_bytes(archive({"a": b"1"})[:100].ljust(128, b"\0") + b"DICM" + bytes(200))
    assert not unzip.is_archive(path)
