"""Delete all that the commands made in this checkout, after stopping its databases."""

from __future__ import annotations

import shutil
import sys

from scripts import postgres
from scripts.steps import CHECKOUT

_MADE = (
    "var", "node_modules", "static/build", ".pytest_cache", ".mypy_cache", ".ruff_cache",
    ".import_linter_cache", ".venv",
)  # fmt: skip


def main() -> int:
    """Databases first: their data must not vanish under a running server."""
    try:
        for test in (False, True):
            postgres.reset(postgres.server(test=test))
    except postgres.LauncherError as error:
        print(error, file=sys.stderr)
        return 1
    for name in _MADE:
        path = CHECKOUT / name
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
