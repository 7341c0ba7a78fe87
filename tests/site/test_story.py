"""Random lives of studies, in short; ``make drill-access`` tells a hundred long ones."""

from __future__ import annotations

import pytest

from tests.site import story

pytestmark = pytest.mark.django_db


def test_the_product_does_what_the_model_says():
    story.tell(runs=6, steps=20)
