"""The tests of the numerics compute in one thread, as the engine does."""

from __future__ import annotations

import os

# It must be said before numpy is imported, as in manage.py.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
