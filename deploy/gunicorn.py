"""gunicorn: processes by the machine's processors, threads for slow readers, log lines as ours."""

import multiprocessing
import os

bind = os.environ.get("CORECMR_BIND", "127.0.0.1:8001")
workers = int(os.environ.get("CORECMR_WEB_PROCESSES", "0")) or 2 * multiprocessing.cpu_count()
worker_class = "gthread"
# A download or an upload keeps a thread for as long as its reader's line takes.
threads = int(os.environ.get("CORECMR_WEB_THREADS", "8"))
timeout = 120
graceful_timeout = 45
keepalive = 65
# Fresh processes now and then: whatever leaks in a library does not grow for months.
max_requests = 20_000
max_requests_jitter = 2_000
# Heartbeats in memory: on a disk that stalls they would end healthy processes.
worker_tmp_dir = "/dev/shm"  # noqa: S108  (gunicorn makes a private file there)
accesslog = None
errorlog = "-"
