"""De-identification: nothing of the patient stays, everything the flow depends on does."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from processing.inputs import to_series
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import VENDORS, write_study
from processing.protocol import check
from scripts.drill import actions, canaries
from studies.dicom.deidentify import deidentify
from studies.dicom.frames import frames_of
from studies.dicom.read import Refused, decode_pixels, read_file
from studies.dicom.sort import sort_frames
from tests.dicom.make import clock, enhanced, film, image, save

KEY = b"k" * 32
CANARY = canaries.STEM


def _written(ds: FileDataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _clean(ds: FileDataset) -> FileDataset:
    return pydicom.dcmread(io.BytesIO(_written(deidentify(ds, key=KEY))))


def _assert_no_canary(data: bytes) -> None:
    assert canaries.hits(data) == []
    assert canaries.AGE.encode() not in data


def _outer(ds: Dataset) -> Dataset:
    return ds


def _below(*path: str) -> Callable[[Dataset], Dataset]:
    """A new item below the sequences of ``path``; "private" is one of a maker's own."""

    def nested(ds: Dataset) -> Dataset:
        for keyword in path:
            item = Dataset()
            if keyword == "private":
                ds.private_block(0x0029, "MAKER", create=True).add_new(1, "SQ", Sequence([item]))
            else:
                setattr(ds, keyword, Sequence([item]))
            ds = item
        return ds

    return nested


PLACES = {
    "at the top": _outer,
    "unlisted, depth 1": _below("ReferencedImageSequence"),
    "listed, depth 1": _below("SharedFunctionalGroupsSequence"),
    "private, depth 1": _below("private"),
    "listed, depth 2": _below("PerFrameFunctionalGroupsSequence", "FrameContentSequence"),
    "listed, depth 3": _below(
        "PerFrameFunctionalGroupsSequence", "MRModifierSequence", "FrameContentSequence"
    ),
    "unlisted, depth 3": _below(
        "RequestAttributesSequence", "ScheduledProtocolCodeSequence", "ReferencedStudySequence"
    ),
    "private below listed": _below(
        "SharedFunctionalGroupsSequence", "PlanePositionSequence", "private"
    ),
    "listed below private": _below(
        "private", "SharedFunctionalGroupsSequence", "PlanePositionSequence"
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", PLACES)
def test_no_planted_text_survives(place):
    """Every attribute of the dictionary and of Table E.1-1, wherever it stands."""
    ds = image()
    assert canaries.plant(PLACES[place](ds)) > 3900
    _assert_no_canary(_written(deidentify(ds, key=KEY)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("implicit", [False, True])
def test_no_planted_text_survives_the_way_through_a_file(implicit, tmp_path):
    """As a scanner writes it, sequences and all; in implicit form no element names its type."""
    ds = image()
    canaries.plant(ds)
    canaries.plant(PLACES["listed, depth 3"](ds))
    canaries.plant_around(ds)
    if implicit:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = save([ds], tmp_path)[0]
    source = read_file(path)
    assert canaries.hits(path.read_bytes())
    _assert_no_canary(_written(deidentify(source, key=KEY)))


@pytest.mark.filterwarnings("ignore")
def test_no_planted_text_survives_around_the_dataset(tmp_path):
    """Preamble, file meta, private and unknown elements, overlays, bytes behind the image."""
    ds = image()
    ds.preamble = (CANARY * 16).encode()
    ds.file_meta.SourceApplicationEntityTitle = CANARY
    ds.file_meta.SendingApplicationEntityTitle = CANARY
    ds.file_meta.PrivateInformationCreatorUID = "1.2.3.19431217"
    ds.file_meta.PrivateInformation = CANARY.encode()
    canaries.plant_around(ds)
    ds.add_new((0x2005, 0x100E), "LO", CANARY)  # the scale slope's place, with a text
    ds.PixelData += (CANARY * 4).encode()
    path = save([ds], tmp_path)[0]
    path.write_bytes(path.read_bytes() + CANARY.encode())
    data = _written(deidentify(read_file(path), key=KEY))
    _assert_no_canary(data)
    assert data[:128] == bytes(128)
    found = pydicom.dcmread(io.BytesIO(data))
    assert not any(element.tag.is_private for element in found)
    assert set(found.file_meta.keys()) == {
        Tag(0x0002, n) for n in (0x00, 0x01, 0x02, 0x03, 0x10, 0x12, 0x13)
    }


# --- Table E.1-1 of PS3.15 ----------------------------------------------------------------------


def test_the_table_is_whole():
    """Edition 2026c names 652 attributes and three groups that repeat."""
    rows = canaries.table()
    assert len({row.tag for row in rows}) == len(rows) == 655
    assert sum("x" in row.tag for row in rows) == 3
    codes = {"X", "Z", "D", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"}
    assert {row.basic for row in rows} == codes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", ["at the top", "listed, depth 3"])
@pytest.mark.parametrize("code", ["X", "Z", "D", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"])
def test_every_row_of_the_table_gets_the_action_of_its_code(code, place):
    """With the options taken. An attribute that is no part of an MR image goes, whatever its code.

    That is stricter than the code asks for; what stays in the file has to follow it.
    """
    rows = [row for row in canaries.table() if row.basic == code]
    ds = image()
    target = PLACES[place](ds)
    assert actions.fill(target, rows, keep_needed=place == "at the top")
    clean = deidentify(ds, key=KEY)
    _assert_no_canary(_written(clean))
    stayed, wrong = actions.judge(rows, target, _same_place(clean, place))
    assert wrong == []
    if place == "at the top":
        assert stayed == STAYS[code]


#: Of each code the attributes that the rebuilt file holds: what MR images must have, and what
#: flow depends on.
STAYS = {
    "X": {"ImageComments", "PatientAge", "PatientSize", "PatientWeight", "SeriesDescription",
          "StudyDescription"},
    "Z": {"AccessionNumber", "PatientBirthDate", "PatientName", "PatientSex",
          "ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime"},
    "D": {"FrameAcquisitionDateTime", "FrameReferenceDateTime"},
    "U": {"DimensionOrganizationUID", "FrameOfReferenceUID", "SOPInstanceUID",
          "SeriesInstanceUID", "StudyInstanceUID"},
    "Z/D": {"ContentDate", "ContentTime", "ContrastBolusAgent", "PatientID"},
    "X/Z": {"AcquisitionDate", "AcquisitionTime"},
    "X/D": {"ProtocolName", "SeriesDate", "SeriesTime"},
    "X/Z/D": {"AcquisitionDateTime", "DeviceSerialNumber"},
    "X/Z/U*": set(),
}  # fmt: skip


def _same_place(clean: Dataset, place: str) -> Dataset:
    if place == "at the top":
        return clean
    (group,) = clean.PerFrameFunctionalGroupsSequence
    (modifier,) = group.MRModifierSequence
    return modifier.FrameContentSequence[0]


# --- what else could carry it -------------------------------------------------------------------


def test_text_where_a_time_or_number_belongs_does_not_survive(tmp_path):
    """Under another type than the standard's a tag can carry words."""
    ds = image()
    for tag in (0x00180050, 0x00181060, 0x00080031, 0x00101030):
        ds[tag] = pydicom.DataElement(tag, "LO", CANARY)
    ds.AcquisitionTime = None
    ds.add_new((0x0008, 0x0032), "TM", "101500")
    ds[0x00080032]._value = f"10{CANARY}"
    _assert_no_canary(_written(deidentify(ds, key=KEY)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("InstanceNumber", "1943121799"),
        ("TriggerTime", "9434765919"),
        ("PatientWeight", "943476"),
        ("PatientSize", "19.43"),
        ("EffectiveEchoTime", struct.unpack("<d", b"94347659")[0]),
        ("EffectiveEchoTime", struct.unpack("<d", b"XQCANARY")[0]),
        ("ContentTime", "19431217"),
        ("StudyTime", "256199"),
        ("AcquisitionDateTime", "20240514" + "1943121799"),
    ],
)
def test_numbers_and_times_that_are_none_do_not_survive(keyword, value):
    """A person's number, a date of birth or text in the place of something measured."""
    clean = deidentify(image(**{keyword: value}), key=KEY)
    left = clean.get(keyword)
    assert left is None or (keyword == "AcquisitionDateTime" and len(left) == 8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kept",
    [{"AcquisitionTime": "23"}, {"AcquisitionTime": "235960.123456"}, {"ContentTime": "10:15:00"},
     {"TriggerTime": "55800.5"}, {"PatientWeight": "71.5"}, {"ImageOrientationPatient":
     ["1", "0", "-2.05103e-10", "1.2e-17", "0.97", "-0.2"]}, {"EffectiveEchoTime": 1.25}],
    ids=str,
)  # fmt: skip
def test_true_numbers_and_times_survive(kept):
    ((keyword, value),) = kept.items()
    assert _clean(image(**kept))[keyword].value == image(**kept)[keyword].value, value


@pytest.mark.parametrize(
    "marks",
    [
        {"BurnedInAnnotation": "YES"},
        {"ConversionType": "WSD"},
        {"ImageType": ["DERIVED", "PRIMARY", "SCREEN SAVE"]},
        {"ImageType": ["DERIVED", "SECONDARY", "CAPTURED IMAGE"], "BurnedInAnnotation": "NO"},
        {"ImageType": ["DERIVED", "SECONDARY", "OTHER"]},
    ],
    ids=str,
)
def test_pictures_that_may_hold_writing_are_refused(marks):
    with pytest.raises(Refused, match=r"(E|e)xport the original image"):
        deidentify(image(**marks), key=KEY)


def test_a_picture_made_afterwards_is_taken_where_it_denies_writing():
    kind = ["DERIVED", "SECONDARY", "OTHER"]
    found = _clean(image(ImageType=kind, BurnedInAnnotation="NO"))
    assert list(found.ImageType) == kind


def test_bits_not_in_use_are_cleared():
    plain = image().pixel_array
    dirty = image(PixelData=(plain | np.uint16(0x5000)).tobytes())
    np.testing.assert_array_equal(_clean(dirty).pixel_array, plain)


def test_what_the_profile_asks_for_is_written():
    found = _clean(image(PatientAge="067Y", PatientSex="F"))
    assert found.PatientIdentityRemoved == "YES"
    assert len(found.DeidentificationMethod) <= 64
    codes = [item.CodeValue for item in found.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107", "113108"]
    assert found.LongitudinalTemporalInformationModified == "MODIFIED"
    assert not any(element.tag.is_private for element in found)
    assert found.BurnedInAnnotation == "NO"
    assert (found.PatientAge, found.PatientSex, found.PatientBirthDate) == ("067Y", "F", "")
    assert found.SeriesDescription == "stress perfusion"
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_private_numbers_that_are_kept_are_said():
    found = _clean(enhanced())
    assert [item.CodeValue for item in found.DeidentificationMethodCodeSequence] == [
        "113100", "113105", "113107", "113108", "113111",
    ]  # fmt: skip


@pytest.mark.parametrize(("age", "kept"), [("089Y", "089Y"), ("097Y", "090Y"), ("011M", None)])
def test_very_old_patients_are_ninety(age, kept):
    assert _clean(image(PatientAge=age)).get("PatientAge") == kept


def test_stand_ins_agree_within_one_key_and_tell_nothing_across_keys():
    one, two = image(), image(SOPInstanceUID="1.2.3.1.2", PatientName="Invented^Person")
    same = [deidentify(ds, key=KEY) for ds in (one, two)]
    assert same[0].StudyInstanceUID == same[1].StudyInstanceUID
    assert same[0].SOPInstanceUID != same[1].SOPInstanceUID
    # The same person, written in another way.
    assert same[0].PatientID == same[1].PatientID
    other = deidentify(one, key=b"x" * 32)
    assert other.PatientID != same[0].PatientID
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = same[0][name].value
        assert uid.startswith("2.25.")
        assert len(uid) <= 64
        assert uid != other[name].value
    stranger = deidentify(image(PatientID="INV0002"), key=KEY)
    assert stranger.PatientID != same[0].PatientID


def test_dates_move_together_and_times_of_day_stay():
    ds = image(
        StudyDate="20240514",
        AcquisitionDate="20240515",
        AcquisitionDateTime="20240515001502.250000+0100",
    )
    found = _clean(ds)
    true, moved = (
        np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in ("20240514", found.StudyDate)
    )
    assert np.timedelta64(365, "D") <= true - moved <= np.timedelta64(3650, "D")
    later = found.AcquisitionDate
    assert np.datetime64(f"{later[:4]}-{later[4:6]}-{later[6:]}") - moved == np.timedelta64(1, "D")
    assert found.AcquisitionDateTime == f"{later}001502.250000+0100"
    assert found.AcquisitionTime == "101500.000000"


def _studies():
    siemens = [
        *film(20, series="1", SequenceName="*tfl2d1_48", FlipAngle=lambda n: 5 if n < 2 else 12),
        *film(20, series="2", along_mm=10.0, start=36900.1, RescaleSlope="1.5", SeriesNumber=5),
        *film(
            20, series="3", start=36899.9, SeriesDescription="AIF adeno", SeriesNumber=6,
            InversionTime=20,
        ),
        *film(
            16, series="4", start=86395.0, SeriesDescription="PERF rest SMITH 14.05.",
            SeriesNumber=7,
        ),
    ]  # fmt: skip
    ge = film(
        24, series="5", Manufacturer="GE MEDICAL SYSTEMS", MagneticFieldStrength=15000,
        AcquisitionTime="094353", TriggerTime=lambda n: 769 + 697.5 * n, SequenceVariant="SP",
        ScanningSequence=["GR", "RM"], SeriesDescription="First Pass New", SequenceName=None,
    )  # fmt: skip
    begun = film(
        15, series="6", Manufacturer="Philips Healthcare", AcquisitionTime="101500",
        TriggerTime=None, RescaleSlope="2.25",
    )  # fmt: skip
    for number, ds in enumerate(begun):
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 0.0123)
        block.add_new(0xA0, "FL", 1.05 * number)
    return {"siemens": siemens, "ge": ge, "philips": begun, "philips-enhanced": [enhanced()]}


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips", "philips-enhanced"])
def test_what_is_computed_from_is_the_same_to_the_bit(vendor):
    """Sorting, times, roles, physics and signal before and after; only the uids differ."""
    _assert_same_to_the_bit(
        [pydicom.dcmread(io.BytesIO(_written(ds))) for ds in _studies()[vendor]]
    )


@pytest.fixture(scope="module")
def phantom():
    return make_study(
        5, levels=("basal", "mid"), frames=14, rows=64, cols=64, pd_frames=2, dual_sequence=True
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_phantoms_of_all_makers_are_the_same_to_the_bit(phantom, vendor, tmp_path):
    series = _assert_same_to_the_bit(
        [read_file(path) for path in write_study(phantom, tmp_path, vendor=vendor)]
    )
    assert len(series) == 4
    assert all(one.aif is not None for one in series)


@pytest.mark.data
@pytest.mark.parametrize(
    "folder",
    [
        "invivo/dicom-original/ge-first-pass/perfusione",
        "invivo/dicom-original/siemens-single-slice/Rest",
        "invivo/dicom/case15",
    ],
)
def test_real_studies_are_the_same_to_the_bit(data_root, folder):
    paths = sorted(path for path in (data_root / folder).rglob("*") if path.is_file())
    assert _assert_same_to_the_bit([read_file(path) for path in paths])


def _assert_same_to_the_bit(before):
    """Compare what the engine is given before and after de-identification; gives it."""
    after = [_clean(ds) for ds in before]
    pictures = []
    for files in (before, after):
        named = {str(n): ds for n, ds in enumerate(files)}
        study = sort_frames(f for name, ds in named.items() for f in frames_of(ds, name))
        series = to_series(study, lambda name, own=named: decode_pixels(own[name]), check({}))
        pictures.append((study, series))
    (study, series), (clean_study, clean_series) = pictures
    assert study.series
    assert [_understood(one) for one in study.series] == [
        _understood(one) for one in clean_study.series
    ]
    assert [served for _, served in study.aif] == [served for _, served in clean_study.aif]
    assert study.unused == clean_study.unused
    for one, other in zip(series, clean_series, strict=True):
        _same(one, other)
        assert (one.aif is None) == (other.aif is None)
        if one.aif is not None and other.aif is not None:
            _same(one.aif, other.aif)
    return series


def _understood(one):
    return (
        one.folder, one.state, one.level, one.role, one.times_s, one.clock.source, one.pd,
        one.reasons, [frame.file_id for frame in one.frames],
    )  # fmt: skip


def _same(one, other):
    assert one.signal.tobytes() == other.signal.tobytes()
    assert one.times_s.tobytes() == other.times_s.tobytes()
    assert one.roles == other.roles
    assert one.acquisition == other.acquisition
    assert one.pixel_spacing_mm == other.pixel_spacing_mm


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs Debian package dicom3tools")
@pytest.mark.parametrize("vendor", VENDORS)
def test_rebuilt_files_are_what_the_standard_asks_for(phantom, vendor, tmp_path):
    """No attribute that MR images must have is lost."""
    paths = write_study(phantom, tmp_path, vendor=vendor)
    rebuilt = tmp_path / "rebuilt"
    rebuilt.write_bytes(_written(deidentify(read_file(paths[0]), key=KEY)))
    told = subprocess.run(
        ["dciodvfy", "-new", rebuilt], capture_output=True, text=True, check=False
    ).stderr
    assert "MRImage" in told
    assert [line for line in told.splitlines() if line.startswith("Error")] == []


def test_it_stays_itself_when_done_again():
    once = _clean(image(SequenceName="*tfl2d1_48"))
    twice = _clean(once)
    skip = {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"}
    skip |= {"StudyDate"}
    for element in once:
        if element.keyword not in skip:
            assert twice[element.tag] == element


def test_midnight_survives():
    files = film(12, start=86400 - 4.0)
    after = [_clean(ds) for ds in files]
    assert [ds.AcquisitionTime for ds in after] == [clock(0.8 * n, 86396.0) for n in range(12)]
