"""Where a server's things lie: data, socket, password, log."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# A socket's name has at most 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_FOLDER = 80


class LauncherError(Exception):
    """Why there is no database; the text says what to do."""


@dataclass(frozen=True)
class Server:
    """One server of this checkout: for the site, or for the tests."""

    home: Path  # the caller's own folder: password, lock, log, and the data where possible
    test: bool = False

    @property
    def digest(self) -> str:
        """Ten digits that tell this checkout's server from all others."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:10]

    @property
    def temporary(self) -> Path:
        """The folder for temporary files, as it was when the data were made: TMPDIR may change."""
        known = self._state().get("temporary")
        if known:
            return Path(str(known))
        found = Path(tempfile.gettempdir()).resolve()
        return found if len(str(found)) + 21 <= _LONGEST_SOCKET_FOLDER else Path("/tmp")  # noqa: S108

    @property
    def private(self) -> Path:
        """For what the server's account must reach and cannot reach in the checkout."""
        return self.temporary / f"corecmr-{self.digest}"

    @property
    def socket(self) -> Path:
        return self.temporary / f"corecmr-{self.digest}-s"

    @property
    def data(self) -> Path:
        return (self.private if self._state().get("apart") else self.home) / "data"

    @property
    def password_file(self) -> Path:
        return self.home / "password"

    @property
    def lock_file(self) -> Path:
        return self.home / "lock"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def remember(self, *, apart: bool) -> None:
        """Note where the data lie, ``apart`` from the checkout or in it."""
        state = {"home": str(self.home), "temporary": str(self.temporary), "apart": apart}
        (self.home / "server.json").write_text(json.dumps(state))

    def _state(self) -> dict[str, object]:
        try:
            state = json.loads((self.home / "server.json").read_text())
        except (OSError, ValueError):
            return {}
        # A copied or moved checkout must not share the original's data and socket.
        return state if state.get("home") == str(self.home) else {}
