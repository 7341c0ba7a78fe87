"""Malformed, mutated and deliberately harmful files through the whole check: nothing gives way.

Every file of the shared test data's ``malformed`` as it is and as one that claims to be an MR
image, thousands of mutated DICOM files and archives from a fixed seed, and the known bombs. They
are sent and checked as any upload, in batches, each with a good film that must be stored.
"""

from __future__ import annotations

import gc
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.table import Figure
from scripts.drill.database import scene

Said = Callable[[str], None]
Files = list[tuple[str, bytes]]

MUTATED = 5_000
SEED = 20_240_514
_BATCH = 400
_GOOD_FRAMES = 12
_SYNTAXES = ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90")
_CHECKOUT = Path(__file__).resolve().parents[2]
_CT, _MR = b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.4\0"


def measure(said: Said) -> list[Figure]:
    with scene(), tempfile.TemporaryDirectory() as folder:
        drill = Drill(Path(folder), said)
        drill.run(MUTATED)
        figures = drill.figures()
        figures.append(_speed(Path(folder), said))
    return figures


@dataclass
class Tally:
    """What came of the files so far."""

    sent: int = 0
    verdicts: int = 0
    rejected: int = 0
    without_reason: int = 0
    broken_uploads: int = 0
    good_lost: int = 0
    bombs_taken: int = 0
    deaths: int = 0
    slowest_s: float = 0.0
    peak_mb: float = 0.0
    kept_mb: float = 0.0


class Drill:
    """Sends batches and counts; ``run`` once."""

    def __init__(self, folder: Path, said: Said) -> None:
        from tests.people import make_trust, make_user

        self._folder = folder
        self._said = said
        self._rng = np.random.default_rng(SEED)
        self._user = make_user(make_trust())
        self._batches = 0
        self.tally = Tally()
        self.left = 0

    def run(self, mutated: int) -> None:
        # One batch first: what Python and Django load once is no growth.
        self._batch(seeds(self._folder / "first")[:8])
        self.tally = Tally()
        files = malformed()
        claims = [(f"mr-{name}", data.replace(_CT, _MR)) for name, data in files]
        self.send("malformed", files)
        self.send("malformed, as MR", claims)
        made = seeds(self._folder / "seeds")
        self.send("mutated", [self._mutant(made, number) for number in range(mutated)])
        self.tally.bombs_taken = self.send("bombs", known_bombs())
        self.left = left_over()

    def send(self, what: str, files: Files) -> int:
        taken = 0
        for start in range(0, len(files), _BATCH):
            self._said(f"{what}: {start} of {len(files)}")
            taken += self._batch(files[start : start + _BATCH])
        return taken

    def _batch(self, files: Files) -> int:
        """Send files with a good film among them; gives how many of the files were stored.

        What is stored is deleted again.
        """
        from django.core.files.base import ContentFile

        from studies import uploads
        from studies.dicom.deidentify import Pseudonyms
        from studies.ingest import trust_key
        from studies.models import StoredFile, Study, Upload
        from studies.tasks import ingest_upload

        self._batches += 1
        good = film_of(self._batches)
        mixed = [*files[: len(files) // 2], *good, *files[len(files) // 2 :]]
        memory = _Memory()
        upload = uploads.receive(
            self._user, [(name, ContentFile(data)) for name, data in mixed], keep_all=True
        )
        sent = upload.items.count()
        with _watched(self.tally):
            ingest_upload(upload.pk)
        self.tally.peak_mb = max(self.tally.peak_mb, memory.peak_mb())
        self.tally.kept_mb += memory.kept_mb()
        upload.refresh_from_db()
        items = list(upload.items.all())
        self.tally.sent += sent
        self.tally.verdicts += sum(one.state != "received" for one in items if one.parent is None)
        refused = [one for one in items if one.state in {"rejected", "unused"}]
        self.tally.rejected += len(refused)
        self.tally.without_reason += sum(not one.reason.endswith(".") for one in refused)
        self.tally.broken_uploads += upload.state != Upload.State.DONE
        good_uid = Pseudonyms(trust_key(self._user.trust)).uid(f"1.2.3.55.{self._batches}")
        stored = StoredFile.objects.filter(kind=StoredFile.Kind.SOURCE)
        kept = stored.filter(study__study_uid=good_uid).count()
        self.tally.good_lost += _GOOD_FRAMES - kept
        others = stored.count() - kept
        for one in StoredFile.objects.all():
            one.file.delete(save=False)
        Study.objects.all().delete()
        upload.delete()
        return others

    def _mutant(self, made: Files, number: int) -> tuple[str, bytes]:
        name, data = made[int(self._rng.integers(len(made)))]
        return f"{number:05d}-{name}", mutated_bytes(data, self._rng)

    def figures(self) -> list[Figure]:
        tally = self.tally
        where = f"{tally.sent} files"
        return [
            Figure("files without a verdict", where, tally.sent - tally.verdicts, reach=0),
            Figure("uploads that broke down", f"{self._batches} uploads", tally.broken_uploads, 0),
            Figure("good files lost beside bad ones", where, tally.good_lost, 0),
            Figure("refusals without a sentence", f"{tally.rejected} refused",
                   tally.without_reason, 0),
            Figure("known bombs that were taken", "bombs", tally.bombs_taken, 0),
            Figure("files that ended their reader", where, tally.deaths),
            Figure("slowest verdict, s", where, tally.slowest_s, 5.0),
            Figure("most memory an upload takes of the parent, MB", where, tally.peak_mb, 50.0),
            Figure("memory that the parent keeps, MB", where, tally.kept_mb, 50.0),
            Figure("files left in quarantine, scratch, storage", where, self.left, 0),
        ]  # fmt: skip


class _watched:
    """Adds what one check tells of its children to the tally."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __enter__(self) -> None:
        from studies import judging

        self._judge = judging.judge

        def watched(*args: Any, **options: Any) -> judging.Judged:
            found = self._judge(*args, **options)
            self._tally.deaths += found.deaths
            self._tally.slowest_s = max(self._tally.slowest_s, found.slowest_s)
            return found

        judging.judge = watched

    def __exit__(self, *_: object) -> None:
        from studies import judging

        judging.judge = self._judge


# --- files ---------------------------------------------------------------------------------


def film_of(number: int) -> Files:
    """A good film of a study of its own."""
    from tests.dicom.make import film

    made = film(
        _GOOD_FRAMES, series=f"5{number}", StudyInstanceUID=f"1.2.3.55.{number}",
        PatientID=f"INV55{number}",
    )  # fmt: skip
    return [(f"good-{n}", _bytes_of(ds)) for n, ds in enumerate(made)]


def malformed() -> Files:
    """The malformed files of the shared test data; none where it is not there."""
    named = os.environ.get("CORECMR_TEST_DATA")
    root = (Path(named) if named else _CHECKOUT.parent / "shared" / "data") / "malformed"
    return [(path.name, path.read_bytes()) for path in sorted(root.rglob("*")) if path.is_file()]


def seeds(folder: Path) -> Files:
    """Honest files of three vendors, in every encoding we can write, and archives of them."""
    from processing.mcaq.phantom import make_study
    from processing.phantom_dicom import VENDORS, write_study
    from tests.dicom.make import enhanced, image
    from tests.dicom.zips import archive, streamed

    phantom = make_study(5, frames=10, rows=64, cols=64, pixel_mm=4.2)
    made: Files = []
    for vendor in VENDORS:
        paths = write_study(phantom, folder / vendor, vendor=vendor)
        made += [(f"{vendor}-{n}", path.read_bytes()) for n, path in enumerate(paths[:2])]
    made.append(("enhanced", _bytes_of(enhanced())))
    plain = image()
    made.append(("implicit", _bytes_of(plain, implicit=True)))
    for syntax in _SYNTAXES:
        packed = image()
        packed.compress(syntax)
        made.append((f"packed-{syntax[-2:]}", _bytes_of(packed)))
    small = {name: data for name, data in made if len(data) < 20_000}
    made.append(("archive.zip", archive(small)))
    made.append(("streamed.zip", streamed(small)))
    return made


def known_bombs() -> Files:
    from tests.dicom.bombs import all_of_them
    from tests.dicom.zips import Entry, by_hand, quoted_overlap

    bombs = list(all_of_them().items())
    zeros = bytes(1024**2)
    bombs += [
        ("overlap.zip", quoted_overlap(250, 1)),
        ("lying sizes.zip", by_hand([Entry(b"%d" % n, zeros * 80, size=1) for n in range(2)])),
        ("zip-slip.zip", by_hand([Entry(b"../../../etc/cron.d/x", b"* * * * * root true")])),
        ("absolute.zip", by_hand([Entry(b"/etc/passwd", b"root::0:0")])),
        ("password.zip", by_hand([Entry(b"a", b"data", flags=1)])),
        ("many.zip", by_hand([Entry(b"%d" % n, b"") for n in range(21_000)])),
    ]
    return bombs


def mutated_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three mutations: bits, bytes, lengths, cuts, repeats, and pieces moved or dropped."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if len(changed) < 16:
            break
        # Headers are where the structure is: most mutations fall there.
        most = min(len(changed), 4000) if rng.random() < 0.7 else len(changed)
        at = int(rng.integers(0, most - 8))
        length = int(rng.integers(1, 64))
        kind = int(rng.integers(8))
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[at : at + length] = rng.bytes(length)
        elif kind == 2:
            extreme = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\xff\xff")
            changed[at : at + 4] = extreme[int(rng.integers(4))]
        elif kind == 3:
            del changed[at:]
        elif kind == 4:
            del changed[at : at + length]
        elif kind == 5:
            changed[at:at] = changed[at : at + length] * int(rng.integers(1, 200))
        elif kind == 6:
            changed[at : at + 2] = (b"SQ", b"UN", b"OB", b"DS", b"PN", b"??")[int(rng.integers(6))]
        else:
            changed[at:at] = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return bytes(changed)


def _bytes_of(dataset: Any, implicit: bool = False) -> bytes:
    out = io.BytesIO()
    if implicit:
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


# --- measures ------------------------------------------------------------------------------


class _Memory:
    """What this process takes from now on; the drill's own files are there already."""

    def __init__(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._before = self._read("VmRSS")

    def peak_mb(self) -> float:
        return self._read("VmHWM") - self._before

    def kept_mb(self) -> float:
        gc.collect()
        return self._read("VmRSS") - self._before

    def _read(self, name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        (found,) = (line.split()[1] for line in lines if line.startswith(name))
        return int(found) / 1024


def left_over() -> int:
    """Files in every place that an upload passes through."""
    from django.conf import settings

    places = [settings.SCRATCH_DIR, settings.VAR_DIR / "quarantine", settings.VAR_DIR / "media"]
    return sum(path.is_file() for place in places for path in place.rglob("*"))


def _speed(folder: Path, said: Said) -> Figure:
    """Files a second of a study of 1,500 images, through the child alone."""
    from studies import judging

    said("a study of 1,500 images")
    paths = list(_study_of(folder / "speed", 1_500))
    out = folder / "out"
    out.mkdir()
    began = time.monotonic()
    found = judging.judge([(str(n), path) for n, path in enumerate(paths)], out, bytes(32))
    seconds = time.monotonic() - began
    accepted = sum(one["accepted"] for one in found.manifest["files"])
    return Figure(
        "files judged a second", f"{accepted} images", accepted / seconds, 20.0,
        larger_is_better=True, note=f"{seconds:.0f} s",
    )  # fmt: skip


def _study_of(folder: Path, count: int) -> Iterator[Path]:
    from processing.mcaq.phantom import make_study
    from processing.phantom_dicom import write_study

    phantom = make_study(5, frames=count // 6, rows=112, cols=96, pixel_mm=2.8)
    yield from write_study(phantom, folder)
