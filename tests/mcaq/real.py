"""The real patients of the shared test data: films as NIfTI, and masks drawn frame by frame."""

from __future__ import annotations

import csv
import gzip
import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from processing.mcaq.series import Acquisition, Series

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}


@dataclass(frozen=True)
class Labelled:
    """masks: (T, rows, cols), 1 myocardium, 2 LV cavity, 0 throughout where a frame has none."""

    series: Series
    masks: np.ndarray


def _nifti(path: Path, frames: int):
    """(T, rows, cols) of a NIfTI-1 file; its header's length, type and shape are all it takes."""
    data = gzip.decompress(path.read_bytes())
    dimensions = struct.unpack_from("<8h", data, 40)
    kind = _TYPES[struct.unpack_from("<h", data, 70)[0]]
    start = int(struct.unpack_from("<f", data, 108)[0])
    shape = dimensions[1 : 1 + dimensions[0]]
    values = np.frombuffer(data, f"<{kind}", int(np.prod(shape)), start)
    values = values.reshape(shape, order="F").squeeze()
    return values if values.shape[0] == frames else np.moveaxis(values, -1, 0)


def studies(data_root: Path):
    """The series of each patient together, with their masks. Times are not known: 1 s a frame."""
    folder = data_root / "invivo" / "nifti"
    found: dict[str, list[Labelled]] = defaultdict(list)
    with (folder / "qc.csv").open() as table:
        for row in csv.DictReader(table):
            name = f"{row['case']}_{row['state']}_{row['slice']}"
            frames = int(row["frames"])
            film = _nifti(folder / f"{name}.nii.gz", frames)
            series = Series(
                uid=name,
                signal=np.ascontiguousarray(film, dtype=np.float32),
                times_s=np.arange(frames, dtype=np.float64),
                roles=("dynamic",) * frames,
                state=row["state"],
                level=row["slice"],
                pixel_spacing_mm=(float(row["pixel_mm"]),) * 2,
                acquisition=Acquisition(field_t=1.5),
            )
            masks = _nifti(folder / f"{name}_mask.nii.gz", frames)
            found[row["case"]].append(Labelled(series, masks))
    return list(found.values())


def centre_of_heart(masks):
    """(row, column) of wall and cavity, the mean over the frames in which they were drawn."""
    drawn = [mask > 0 for mask in masks if mask.any()]
    return np.mean([ndimage.center_of_mass(one) for one in drawn], axis=0)
