"""A folder of DICOM as a sorted study; for what cannot be used the reason is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from studies.dicom.correct import FILE_NAME, Correction, corrected, load
from studies.dicom.frames import Frame, frames_of
from studies.dicom.read import DAMAGED, Refused, decode_pixels, read_file
from studies.dicom.sort import SortedSeries, SortedStudy, sort_frames


class Folder:
    """The files below one folder; a file's name is its path from there.

    study: what was found, as a person corrected it. unused: (name, reason) of every file that is
    in no series of it. Raises BadCorrection.
    """

    def __init__(
        self,
        root: Path,
        progress: Callable[[float], None],
        corrections: Sequence[Correction] | None = None,
    ) -> None:
        self._paths = dict(_files(root))
        self.corrections = self._corrections(corrections)
        self._decoded: dict[str, NDArray[np.generic]] = {}
        self._refused: dict[str, str] = {}
        self.names = tuple(self._paths)
        frames = []
        for number, (name, path) in enumerate(self._paths.items()):
            progress(0.7 * number / len(self._paths))
            try:
                frames += _read(path, name)
            except Refused as refused:
                self._refused[name] = str(refused)
        study = corrected(sort_frames(frames), self.corrections)
        # A picture that cannot be decoded is no frame: the films are then sorted without it.
        while bad := self._decode(study, progress):
            frames = [frame for frame in frames if frame.file_id not in bad]
            study = corrected(sort_frames(frames), self.corrections)
        self.study = study

    def _corrections(self, given: Sequence[Correction] | None) -> tuple[Correction, ...]:
        """What was given, or what an export has in a file beside its images."""
        found = [name for name in self._paths if Path(name).name == FILE_NAME]
        told = [load(self._paths.pop(name)) for name in found]
        return tuple(one for part in told for one in part) if given is None else tuple(given)

    @property
    def unused(self) -> list[tuple[str, str]]:
        return [*self._refused.items(), *self.study.unused]

    def pixels(self, name: str) -> NDArray[np.generic]:
        """Stored values of a file of the study's series, (frames, rows, cols)."""
        return self._decoded[name]

    def header(self, name: str) -> Dataset:
        """A file without its pixels."""
        whole = read_file(self._paths[name])
        del whole.PixelData
        return whole

    def digest(self, film: SortedSeries) -> str:
        """SHA-256 over those of a series' files in the order of time: what it was made from."""
        whole = hashlib.sha256()
        for name in dict.fromkeys(frame.file_id for frame in film.frames):
            with self._paths[name].open("rb") as handle:
                whole.update(hashlib.file_digest(handle, "sha256").digest())
        return whole.hexdigest()

    def forget_pixels(self) -> None:
        """Give the memory back once the engine's series are made."""
        self._decoded.clear()

    def _decode(self, study: SortedStudy, progress: Callable[[float], None]) -> set[str]:
        """Decode the files of all films; gives the names of those that cannot be."""
        films = [*study.series, *(film for film, _ in study.aif)]
        names = dict.fromkeys(frame.file_id for film in films for frame in film.frames)
        names |= dict.fromkeys(one.frame.file_id for one in study.maps)
        bad = set()
        for number, name in enumerate(names):
            progress(0.7 + 0.3 * number / len(names))
            if name in self._decoded:
                continue
            try:
                self._decoded[name] = decode_pixels(read_file(self._paths[name]))
            except Refused as refused:
                self._refused[name] = str(refused)
                bad.add(name)
        return bad


def _read(path: Path, name: str) -> list[Frame]:
    try:
        return frames_of(read_file(path), name)
    except Refused:
        raise
    except Exception:
        # A header that lies in a way nobody foresaw must cost this file only.
        raise Refused(DAMAGED) from None


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below ``root`` in a fixed order; a name that is no Unicode is shown as best."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file():
                shown = path.relative_to(root).as_posix()
                yield shown.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), path
