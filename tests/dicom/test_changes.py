"""What is told of a file's de-identification, and what is handed to the owner's vault."""

from __future__ import annotations

import json

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import VENDORS, write_study
from scripts.drill import canaries
from studies.dicom.changes import changes
from studies.dicom.deidentify import deidentify
from studies.dicom.identity import source_identity
from studies.dicom.read import read_file
from studies.dicom.rules import BY_TAG, PRIVATE, RULES
from tests.dicom.make import enhanced, image, save

KEY = b"k" * 32


def _both(ds, tmp_path):
    source = read_file(save([ds], tmp_path)[0])
    return source, deidentify(source, key=KEY)


def test_each_attribute_is_told_with_what_became_of_it(tmp_path):
    ds = image(InstitutionName="Ward 7", AccessionNumber="A1", PatientAge="097Y", StudyID="4")
    ds.DeviceSerialNumber = "12345"
    ds.preamble = b"II*\0" + bytes(124)
    ds.file_meta.SourceApplicationEntityTitle = "WARD7"
    ds.private_block(0x0029, "MAKER", create=True).add_new(1, "LO", "x")
    ds.add_new((0x0018, 0x9999), "LO", "x")
    ds.add_new((0x6002, 0x3000), "OB", b"xx")
    item = Dataset()
    item.PatientName = "X"
    ds.ReferencedStudySequence = Sequence([item])
    assert changes(*_both(ds, tmp_path)) == {
        "preamble removed": 1,
        "00020016 removed": 1,
        "private removed": 2,
        "unknown removed": 1,
        "60023000 removed": 1,
        "00081110 removed": 1,
        "00080080 removed": 1,
        "00100030 emptied": 1,
        "00080050 emptied": 1,
        "00200010 emptied": 1,
        "00100010 pseudonym": 1,
        "00100020 pseudonym": 1,
        "00181000 pseudonym": 1,
        "00080018 pseudonym": 1,
        "0020000D pseudonym": 1,
        "0020000E pseudonym": 1,
        "00080020 moved": 1,
        "00101010 words": 1,
        "0008103E words": 1,
    }


def test_inside_sequences_that_are_entered_each_item_counts(tmp_path):
    found = changes(*_both(enhanced(count=5), tmp_path))
    assert found["00189074 moved"] == 10
    assert "52009230 removed" not in found


@pytest.mark.filterwarnings("ignore")
def test_no_value_is_told(tmp_path):
    ds = image()
    canaries.plant(ds)
    canaries.plant_around(ds)
    found = changes(*_both(ds, tmp_path))
    assert canaries.hits(json.dumps(found).encode()) == []
    assert sum(found.values()) > 3900


def test_identity_is_what_the_source_says_and_its_uids(tmp_path):
    ds = image(AccessionNumber="ACC 7", IssuerOfPatientID="WARD", FrameOfReferenceUID="1.2.3.9")
    ds.PatientName = "INVENTED^PERSON\0\n^^Dr"
    source, clean = _both(ds, tmp_path)
    found = source_identity(source, clean)
    assert found["patient"] == {
        "number": "INV0001", "issuer": "WARD", "name": "INVENTED^PERSON ^^Dr",
        "birth_date": "19600203",
    }  # fmt: skip
    assert found["study"] == {"uid": "1.2.3.2", "date": "20240514", "accession_number": "ACC 7"}
    assert found["uids"] == {
        clean.SOPInstanceUID: "1.2.3.1",
        clean.SeriesInstanceUID: "1.2.3.3",
        clean.FrameOfReferenceUID: "1.2.3.9",
    }


@pytest.mark.filterwarnings("ignore")
def test_texts_that_never_end_are_cut(tmp_path):
    source, clean = _both(image(PatientID="7" * 60_000), tmp_path)
    assert len(source_identity(source, clean)["patient"]["number"]) == 256


def test_rules_name_every_attribute_of_a_rebuilt_file(tmp_path):
    study = make_study(5, levels=("mid",), frames=14, rows=64, cols=64)
    for vendor in VENDORS:
        path = write_study(study, tmp_path / vendor, vendor=vendor)[0]
        _assert_named(deidentify(read_file(path), key=KEY))
    ds = image(PatientAge="060Y", LossyImageCompression="01", DeviceSerialNumber="1")
    _assert_named(deidentify(ds, key=KEY))
    assert len({rule.tag for rule in RULES}) == len(RULES)


def _assert_named(ds: Dataset) -> None:
    for element in ds:
        if element.tag.is_private:
            block = f"{element.tag.group:04X}"
            assert block in {group for group, _, _ in PRIVATE}
            continue
        assert f"{element.tag:08X}" in BY_TAG, element.keyword
        if element.keyword in {"DeidentificationMethodCodeSequence", "AnatomicRegionSequence"}:
            continue
        if element.VR == "SQ":
            for item in element.value:
                _assert_named(item)
