"""Queues between processes: none is frozen by a process that is killed."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal

from django.core.management import get_commands

from corecmr.cluster import ProcessLock, SurvivingQueue

PATIENCE_SECONDS = 20
FORK = multiprocessing.get_context("fork")


def _worker(queue, said: int) -> None:
    os.write(said, b"ready\n")
    for item in iter(queue.get, "STOP"):
        os.write(said, f"{os.getpid()} {item}\n".encode())


def _line(listened: int) -> str:
    assert select.select([listened], [], [], PATIENCE_SECONDS)[0], "nobody took the work up"
    return os.read(listened, 100).decode()


def test_a_queue_goes_on_when_the_worker_that_waits_at_it_is_killed():
    queue = SurvivingQueue()
    listened, said = os.pipe()
    workers = [FORK.Process(target=_worker, args=(queue, said), daemon=True) for _ in range(3)]
    try:
        for worker in workers:
            worker.start()
        heard = ""
        while heard.count("ready") < len(workers):
            heard += _line(listened)
        for number, worker in enumerate(workers[:2], start=1):
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
            queue.put(number)
            pid, item = _line(listened).split()
            assert int(item) == number
            assert int(pid) in {other.pid for other in workers[number:]}
        queue.put("STOP")
        workers[2].join(PATIENCE_SECONDS)
        assert workers[2].exitcode == 0
    finally:
        for worker in workers:
            worker.kill()
        os.close(listened)
        os.close(said)


def test_a_lock_keeps_other_processes_out_until_it_is_given_back():
    lock, ends = ProcessLock(), FORK.Pipe()
    with lock:
        other = FORK.Process(target=lambda: ends[1].send(lock.acquire(block=False)))
        other.start()
        assert ends[0].poll(PATIENCE_SECONDS)
        assert ends[0].recv() is False
        other.join()
    other = FORK.Process(target=lambda: ends[1].send(lock.acquire(block=False)))
    other.start()
    assert ends[0].poll(PATIENCE_SECONDS)
    assert ends[0].recv() is True
    other.join()


def test_the_cluster_is_started_by_our_command():
    assert get_commands()["qcluster"] == "corecmr"
