"""A tiny study as a scanner would export it, and a Python with engines for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from accounts.models import User
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts.drill.python import python_with
from studies import ingest, uploads
from studies.models import Study
from tests.processing import odd_engines

#: One slice at stress, as few frames and pixels as still can be analysed.
FRAMES = 24

Files = list[tuple[str, bytes]]


@pytest.fixture(scope="session")
def phantom_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a tiny phantom study as (name, content)."""
    study = make_study(3, states=("stress",), levels=("mid",), frames=FRAMES, rows=96, cols=80)
    folder = tmp_path_factory.mktemp("phantom")
    paths = write_study(study, folder, patient_name=odd_engines.SECRET)
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the packages of this one and, installed beside them, the engines for tests."""
    folder = tmp_path_factory.mktemp("environment")
    return python_with(folder, "odd-engines", odd_engines.ENGINES)


@pytest.fixture(scope="session")
def send(phantom_files: Files) -> Callable[[User], Study]:
    """Puts the phantom's files through the site's upload and its real check."""

    def take_in(user: User) -> Study:
        files = [(name, ContentFile(data)) for name, data in phantom_files]
        upload = uploads.receive(user, files)
        claimed = uploads.claim(upload.pk)
        assert claimed is not None
        ingest.ingest(claimed)
        return upload.studies.get()

    return take_in
