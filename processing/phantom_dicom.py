"""Write a phantom study as DICOM files, as a scanner would: ``python -m processing.phantom_dicom``.

The patient is invented, and told in many places, so that de-identification has work to do. What
the layouts of the vendors have in common stands here; how each of them tells time, slices and
sequence stands in ``phantom_vendors``
and ``phantom_philips``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from processing import phantom_philips, phantom_variants, phantom_vendors
from processing.mcaq.phantom import Orientation, PhantomStudy, make_study
from processing.phantom_variants import Variant

VENDORS = ("siemens", "ge", "philips-enhanced", "philips-classic", "siemens-enhanced")
_STUDY_START = datetime(2024, 5, 14, 10, 12, 0)
_ROOM = "MR 2"


def write_study(
    study: PhantomStudy,
    folder: Path,
    *,
    vendor: str = "siemens",
    patient_name: str = "PHANTOM^DIGITAL",
    variant: Variant | None = None,
) -> list[Path]:
    """Write all files below ``folder``, under random names in nested folders; gives their paths.

    The same study and arguments give the same bytes. Raises ValueError for an unknown vendor.
    """
    if vendor not in VENDORS:
        raise ValueError(f"There is no vendor {vendor!r}; there are {', '.join(VENDORS)}.")
    rng = np.random.default_rng([study.seed, 77])
    study_folder = folder / _hex(rng)
    written: list[Path] = []
    places: dict[str, Path] = {}
    for dataset in _datasets(study, vendor, patient_name, variant):
        series = str(dataset.SeriesInstanceUID)
        if series not in places:
            places[series] = study_folder / _hex(rng)
            places[series].mkdir(parents=True, exist_ok=True)
        path = places[series] / _hex(rng)
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def _hex(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(2**32)):08X}"


def _datasets(
    study: PhantomStudy, vendor: str, patient_name: str, variant: Variant | None
) -> Iterable[Dataset]:
    """One dataset per file; it may be changed and given again for the next file."""
    head = _head(study.seed, patient_name)
    usual = _of_vendor(study, vendor, head)
    if variant is None:
        return usual
    maps = phantom_variants.scanner_maps(study, head, _STUDY_START) if variant.scanner_maps else ()
    return itertools.chain(phantom_variants.varied(usual, study, variant), maps)


def _of_vendor(study: PhantomStudy, vendor: str, head: Dataset) -> Iterable[Dataset]:
    if vendor == "philips-classic":
        return phantom_variants.philips_classic(study, head, _STUDY_START)
    if vendor == "siemens-enhanced":
        return phantom_variants.siemens_enhanced(study, head, _STUDY_START)
    if vendor == "siemens":
        return phantom_vendors.siemens(study, head, _STUDY_START)
    if vendor == "ge":
        return phantom_vendors.ge(study, head, _STUDY_START)
    return phantom_philips.philips(study, head, _STUDY_START)


def _head(seed: int, patient_name: str) -> Dataset:
    """Patient, study and room: what every file of the study says."""
    born = datetime(1957, 3, 12) + timedelta(days=37 * (seed % 200))
    age = (_STUDY_START - born).days // 365
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID("2.25.1137291184021957385113246541")
    meta.ImplementationVersionName = "CORECMR_PHANTOM"
    head = Dataset()
    head.file_meta = meta
    head.SpecificCharacterSet = "ISO_IR 100"
    head.StudyDate = head.SeriesDate = head.AcquisitionDate = _STUDY_START.strftime("%Y%m%d")
    head.ContentDate = head.StudyDate
    head.StudyTime = _STUDY_START.strftime("%H%M%S.000000")
    head.AccessionNumber = f"PH{seed:08d}"[:16]
    head.Modality = "MR"
    head.InstitutionName = "Invented General Hospital"
    head.InstitutionAddress = "1 Nowhere Street, Inventon"
    head.StationName = "MRINVENT2"
    head.InstitutionalDepartmentName = "Cardiac Imaging"
    head.ReferringPhysicianName = "EXAMPLE^REFERRER^^DR"
    head.PerformingPhysicianName = "EXAMPLE^READER^^DR"
    head.OperatorsName = "EXAMPLE^RADIOGRAPHER"
    head.StudyDescription = "MRI heart stress perfusion"
    head.PatientName = patient_name
    head.PatientID = f"PHANTOM{seed:06d}"
    head.PatientBirthDate = born.strftime("%Y%m%d")
    head.PatientSex = "F" if seed % 2 else "M"
    head.PatientAge = f"{age:03d}Y"
    head.PatientSize = "1.71"
    head.PatientWeight = "74"
    head.PatientAddress = "2 Nowhere Street, Inventon"
    head.PatientTelephoneNumbers = "01632 960000"
    head.PatientComments = f"{patient_name}: invented, no such person"
    head.StudyInstanceUID = phantom_vendors.uid(seed, 1)
    head.StudyID = f"{seed % 10000}"
    head.FrameOfReferenceUID = phantom_vendors.uid(seed, 2)
    head.PositionReferenceIndicator = ""
    head.RequestedProcedureDescription = "MRI heart stress perfusion"
    head.PerformedProcedureStepID = f"{seed % 10000}"
    head.PerformedProcedureStepStartDate = head.StudyDate
    head.PerformedProcedureStepStartTime = head.StudyTime
    head.PerformedStationName = _ROOM
    return head


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when files were written, 2 with a sentence otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m processing.phantom_dicom",
        description="Write a digital phantom perfusion study as DICOM files.",
    )
    parser.add_argument("folder", type=Path, help="a new or empty folder")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another person")
    parser.add_argument("--vendor", choices=VENDORS, default=VENDORS[0])
    parser.add_argument("--frames", type=int, default=60, help="frames of each film")
    parser.add_argument(
        "--dual-sequence", action="store_true", help="add low-resolution input series"
    )
    parser.add_argument("--two-echoes", action="store_true", help="of the input series, for T2*")
    parser.add_argument("--pd-frames", type=int, default=0, help="proton-density frames first")
    harder = parser.add_argument_group("what makes it harder")
    harder.add_argument(
        "--wide", action="store_true", help="a person unlike most, more neighbours of the heart"
    )
    harder.add_argument(
        "--names", choices=("usual", "blind", "protocol", "misleading"), default="usual",
        help="what the descriptions of the series say",
    )  # fmt: skip
    harder.add_argument("--pd-apart", action="store_true", help="PD frames in their own series")
    harder.add_argument("--one-series", action="store_true", help="slices interleaved in one")
    parser.add_argument(
        "--scanner-maps", action="store_true", help="add flow maps as the scanner computes them"
    )
    harder.add_argument("--systolic", action="store_true", help="pictures taken in systole")
    harder.add_argument("--turn", type=float, default=0.0, help="pictures turned, degrees")
    harder.add_argument("--mirrored", action="store_true", help="pictures mirrored")
    harder.add_argument("--deep-breaths", type=int, default=0, help="through the slice, a state")
    harder.add_argument("--mistriggered", type=int, default=0, help="frames of a state")
    harder.add_argument("--corrupted", type=int, default=0, help="frames of a film")
    chosen = parser.parse_args(arguments)
    if chosen.folder.exists() and (not chosen.folder.is_dir() or any(chosen.folder.iterdir())):
        print(
            f"{chosen.folder.name} is there already and not an empty folder. Choose another one.",
            file=sys.stderr,
        )
        return 2
    counts = (chosen.pd_frames, chosen.deep_breaths, chosen.mistriggered, chosen.corrupted)
    if chosen.seed < 0 or chosen.frames < 2 or min(counts) < 0:
        print(
            "Seed, frames and other counts must be positive; a film has at least 2 frames.",
            file=sys.stderr,
        )
        return 2
    study = make_study(
        chosen.seed,
        frames=chosen.frames,
        pd_frames=chosen.pd_frames,
        dual_sequence=chosen.dual_sequence,
        input_echoes=2 if chosen.two_echoes else 1,
        variety="wide" if chosen.wide else "usual",
        neighbours="rich" if chosen.wide else "usual",
        phase="systolic" if chosen.systolic else "diastolic",
        orientation=Orientation(chosen.turn, chosen.mirrored),
        through_plane=chosen.deep_breaths,
        mistriggered=chosen.mistriggered,
        corrupted=chosen.corrupted,
    )
    variant = Variant(chosen.names, chosen.pd_apart, chosen.one_series, chosen.scanner_maps)
    written = write_study(study, chosen.folder, vendor=chosen.vendor, variant=variant)
    print(f"{len(written)} DICOM files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
