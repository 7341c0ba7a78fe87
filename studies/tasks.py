"""What a worker is asked to do for uploads and for erasures."""

from __future__ import annotations

import logging
import secrets

from corecmr.database import went_away
from studies import erasure, ingest, uploads
from studies.models import Upload

log = logging.getLogger(__name__)


def ingest_upload(pk: int) -> None:
    upload = uploads.claim(pk)
    if upload is None:
        return
    try:
        ingest.ingest(upload)
    except Exception as error:
        if went_away(error):
            # The files are still in quarantine: when the lease has run out they are checked anew.
            log.warning("ingest lost the database")
            return
        if not Upload.objects.filter(pk=pk).exists():
            return  # withdrawn meanwhile, and its files with it
        # The message of an exception may hold what was read from a file, so only its kind is kept.
        identifier = secrets.token_hex(4)
        log.error("ingest failed, id %s: %s", identifier, _where(error))
        uploads.fail(
            upload,
            f"The site could not take these files in (log id {identifier}). Try again; if it "
            "happens again, tell your administrator the id.",
        )


def _where(error: Exception) -> str:
    """Kind of error and the place in our code, without its message."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"


def erase_files(pk: int) -> None:
    """Delete the stored files of an erased study; the rows are gone already."""
    erasure.finish(pk)
