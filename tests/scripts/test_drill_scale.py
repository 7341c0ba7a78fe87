"""The simulated service: its queue keeps the rules that it claims."""

from __future__ import annotations

from scripts.drill import scale_service
from scripts.drill.scale_service import Study


def test_with_a_core_for_each_nobody_waits():
    studies = [Study(0.0, trust, 10.0) for trust in range(5)]
    waits, longest = scale_service._work(studies, 5)
    assert [wait for _trust, wait in waits] == [0.0] * 5
    assert longest == 0


def test_one_core_does_one_after_the_other():
    waits, longest = scale_service._work([Study(0.0, 0, 10.0), Study(1.0, 0, 10.0)], 1)
    assert waits == [(0, 0.0), (0, 9.0)]
    assert longest == 1


def test_a_trust_with_much_does_not_hold_up_one_with_little():
    studies = [Study(0.0, 0, 10.0) for _ in range(50)] + [Study(1.0, 1, 10.0)]
    for cores in (1, 2):
        waits = [wait for trust, wait in scale_service._work(studies, cores)[0] if trust == 1]
        assert waits == [9.0]


def test_more_cores_wait_less():
    one, two = (sum(scale_service.simulate(cores)[0]) for cores in (1, 2))
    assert two < one / 4
