"""A result as DICOM objects: written into a folder for each slice, and packed for storage.

They are made from the arrays as they are written, while films of other slices are being encoded.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from processing.mcaq.series import Series, SeriesResult
from studies.colours import MBF_UNIT
from studies.dicom.sort import SortedSeries
from studies.dicom.write import corrected, encode, flow_map, masks, measurements
from studies.dicom.write.film import Film, Flow, Making
from studies.dicom.write.head import NoPlace
from studies.dicom.write.measurements import Slice

log = logging.getLogger(__name__)

FOLDER = "dicom"
PACK, REPORT = "dicom.zip", "measurements.dcm"
_NO_PLACE = (
    "The files do not say where in the patient the slice lies, so no DICOM objects could be made."
)
_ODD = "No DICOM objects could be made: the files' headers hold something unforeseen."
#: The date of all files in a pack, so that the same objects give the same pack.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Objects:
    """The objects of one study, written below ``root / "dicom"``; what there is stands in told."""

    def __init__(self, root: Path, making: Making, *, name_patient: bool) -> None:
        self._root, self._making, self._name_patient = root, making, name_patient
        self._slices: list[Slice] = []
        self.told: list[dict[str, Any]] = []

    def add(
        self, number: int, sorted_series: SortedSeries, header: Dataset, series: Series,
        result: SeriesResult, times_s: Sequence[float],
    ) -> None:  # fmt: skip
        """Write the objects of a slice, whose map as a picture has been written already."""
        film = Film(
            number=number,
            folder=sorted_series.folder,
            state=sorted_series.state,
            level=sorted_series.level,
            head=header,
            frames=sorted_series.frames,
            times_s=tuple(float(time) for time in times_s),
            offset=(int(result.offset[0]), int(result.offset[1])),
            corrected=result.corrected.astype(np.float32),
            mbf=result.mbf.astype(np.float32),
            segmentation=result.segmentation.astype(np.uint8),
            aha=result.aha.astype(np.uint8),
            unit=str(result.parameters.get("mbf_unit", MBF_UNIT)),
            segments={
                int(n): Flow(_known(f.mbf), _known(f.low), _known(f.high), f.ischaemic)
                for n, f in result.segments.items()
            },
            mbf_global=_known(result.mbf_global),
            making=self._making,
            picture=_picture(self._root / sorted_series.folder / "mbf.png"),
            drawn=series.given_contours is not None,
            name_patient=self._name_patient,
        )
        try:
            self._write(film)
        except NoPlace:
            self.told.append({"folder": film.folder, "reason": _NO_PLACE})
        except Exception as error:
            # A header that lies in a way nobody foresaw must cost the objects, not the result.
            log.error("no DICOM objects: %s", type(error).__name__)
            self.told.append({"folder": film.folder, "reason": _ODD})

    def _write(self, film: Film) -> None:
        frames = corrected.corrected(film)
        segmentation = masks.segmentation(film, frames)
        alone = {
            "mbf": flow_map.parametric_map(film, frames),
            "mbf_x100": flow_map.grey_map(film, frames),
            "mbf_colour": flow_map.colour_map(film, frames),
            "segmentation": segmentation,
        }
        files = {f"corrected/{n:04d}.dcm": data for n, data in enumerate(frames.files(), start=1)}
        told = [_entry(film.folder, "corrected", frames.last, list(files))]
        for kind, ds in alone.items():
            if ds is not None:
                files[f"{kind}.dcm"] = encode.file_bytes(ds)
                told.append(_entry(film.folder, kind, ds, [f"{kind}.dcm"]))
        place = self._root / FOLDER / film.folder
        (place / "corrected").mkdir(parents=True)
        for name, data in files.items():
            (place / name).write_bytes(data)
        self.told += told
        self._slices.append(Slice(film, frames, segmentation))

    def report(self, reserve: Mapping[int, float]) -> None:
        """Write the structured report of all slices."""
        if not self._slices:
            return
        known = {int(n): float(value) for n, value in reserve.items() if _known(value) is not None}
        try:
            ds = measurements.report(self._slices, known)
            (self._root / FOLDER / REPORT).write_bytes(encode.file_bytes(ds))
        except Exception as error:
            log.error("no DICOM report: %s", type(error).__name__)
            self.told.append({"folder": "", "reason": _ODD})
            return
        self.told.append(_entry("", "measurements", ds, [REPORT]))


def _known(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _picture(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _entry(folder: str, kind: str, ds: Dataset, names: Sequence[str]) -> dict[str, Any]:
    """An entry of ``dicom`` in the report: what kind, and where its files lie."""
    return {
        "folder": folder,
        "kind": kind,
        "sop_class_uid": str(ds.SOPClassUID),
        "series_uid": str(ds.SeriesInstanceUID),
        "files": ["/".join(part for part in (FOLDER, folder, name) if part) for name in names],
    }


def pack(output: Path) -> None:
    """Put the objects of each slice of an output folder into one archive beside its arrays.

    A study has hundreds of objects; so each slice is one file in storage.
    """
    root = output / FOLDER
    for place in sorted(path for path in root.glob("*") if path.is_dir()):
        with zipfile.ZipFile(output / place.name / PACK, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(path for path in place.rglob("*") if path.is_file()):
                info = zipfile.ZipInfo(path.relative_to(place).as_posix(), _EPOCH)
                archive.writestr(info, path.read_bytes())
                path.unlink()
