"""The consultant's journey in Chromium and Firefox, and the main pages in WebKit, as in CI."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

from scripts.bench.table import Figure
from scripts.steps import CHECKOUT
from tests.browser.test_way_to_report import MOST_CLICKS

#: By browser: the test, and whether it counts clicks.
_TESTS = {
    "Chromium": ("test_way_to_report.py", True),
    "Firefox": ("test_way_in_firefox.py", True),
    "WebKit": ("test_webkit.py", False),
}


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    for browser, (name, counts) in _TESTS.items():
        said(browser)
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-s", f"tests/browser/{name}"],
            cwd=CHECKOUT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        passed = re.search(r"(\d+) passed", ended.stdout)
        went = ended.returncode == 0 and passed is not None
        why = "" if went else (ended.stdout.strip().splitlines() or ["it did not start"])[-1]
        yield Figure("the way is gone", browser, went, reach=1, larger_is_better=True, note=why)
        clicks = re.search(r"(\d+) clicks", ended.stdout)
        if counts:
            yield Figure(
                "clicks from signing in to the question sent", browser,
                float(clicks[1]) if clicks else float("nan"), reach=MOST_CLICKS,
            )  # fmt: skip
