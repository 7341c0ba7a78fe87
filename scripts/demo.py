"""The demo: a running site with people of every role and one analysed study. Ctrl-C stops it all.

.venv/bin/python -m scripts.demo [--once | --reset] [--after N]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts import demo_study, postgres
from scripts.processes import Children
from scripts.steps import CHECKOUT, StepError, Steps, run, told_to_stop
from scripts.visitor import SiteError

VAR = Path(os.environ.get("CORECMR_VAR_DIR") or CHECKOUT / "var").resolve()
STEPS = 5
WEB_SECONDS = 60
# Longer than the worker itself gives its running work.
DRAIN_SECONDS = 40
MADE = (
    "demo.json", "demo-study.json", "secret-key", "deidentification-key", "identity-key", "mfa-key",
    "media",
    "quarantine", "mail", "scratch", "phantom", "logs", "staticfiles", "worker.pgid",
    "demo-address",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the demo until it is told to stop; 0 then, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo")
    parser.add_argument("--once", action="store_true", help="stop when the site is ready")
    parser.add_argument("--reset", action="store_true", help="delete the demo's data instead")
    parser.add_argument("--after", type=int, default=0, help="steps that were done before")
    options = parser.parse_args(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.demo"
    try:
        with told_to_stop(), only_one():
            if options.reset:
                _reset()
            else:
                once = options.once or os.environ.get("DEMO_EXIT_WHEN_READY") == "1"
                _run(Steps(STEPS + options.after, options.after), once=once)
    except KeyboardInterrupt:
        return 0
    except (StepError, SiteError, postgres.LauncherError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def only_one() -> Iterator[None]:
    """Refuse to run beside another demo of this checkout."""
    VAR.mkdir(parents=True, exist_ok=True)
    with (VAR / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(OSError):
                address = (VAR / "demo-address").read_text()
                raise StepError(f"The demo of this checkout runs already: {address}") from None
            raise StepError("The demo of this checkout is starting or stopping already.") from None
        yield


def _run(steps: Steps, *, once: bool) -> None:
    children = Children(VAR / "logs")
    started_database = False
    try:
        with steps.step("Database") as step:
            make_secrets()
            started_database = postgres.ensure_started()
            step.note("tables")
            manage("migrate", "--no-input", "--verbosity", "0")
            step.note("people")
            said = manage("seed_demo")
            manage("seed_cohort")
            step.note("")
        print(said, flush=True)
        with steps.step("Web server and worker") as step:
            step.note("pages' files")
            manage("collectstatic", "--no-input", "--verbosity", "0")
            step.note("starting")
            address = _start(children)
            step.note(address)
        demo_study.ensure_there(steps, address, VAR, children)
        _announce(address)
        while not once:
            children.check()
            time.sleep(0.5)
    finally:
        stop(children, stop_database=started_database)


def make_secrets() -> None:
    """Keys of this demo alone; what was signed with them stays good over restarts."""
    for name in ("secret-key", "deidentification-key", "identity-key", "mfa-key"):
        with suppress(FileExistsError):
            descriptor = os.open(VAR / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as handle:
                handle.write(secrets.token_urlsafe(48))


def manage(*arguments: str) -> str:
    """Run one of the site's commands and return what it said."""
    return run([sys.executable, CHECKOUT / "manage.py", *arguments])


def _start(children: Children) -> str:
    """Start the web server and the worker; returns the site's address when it answers."""
    with _free_port() as listener:
        port = listener.getsockname()[1]
        # The socket is handed over, so no other program can take the port in between.
        children.start(
            "web server",
            [
                sys.executable, "-m", "gunicorn", "corecmr.wsgi",
                "--bind", f"fd://{listener.fileno()}", "--workers", "2", "--threads", "4",
                "--worker-class", "gthread", "--no-control-socket", "--access-logfile", "-",
            ],
            descriptors=[listener.fileno()],
        )  # fmt: skip
    children.start("worker", [sys.executable, str(CHECKOUT / "manage.py"), "runworker"])
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + WEB_SECONDS
    while not _answers(address):
        children.check()
        if time.monotonic() > deadline:
            raise StepError(f"The web server did not answer in {WEB_SECONDS} s. See var/logs.")
        time.sleep(0.1)
    (VAR / "demo-address").write_text(address)
    return address


def _free_port() -> socket.socket:
    wanted = os.environ.get("PORT", "")
    ports = [int(wanted)] if wanted.isdecimal() else range(8000, 8100)
    for port in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        listener.listen(128)
        return listener
    raise StepError(f"No free port among {', '.join(map(str, ports))}. Name one: make demo PORT=…")


def _answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/accounts/login/", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        with error:
            raise StepError(
                f"The site's first page answers with status {error.code}. See var/logs."
            ) from None
    except OSError:
        return False


def _announce(address: str) -> None:
    print(
        f"\nCoreCMR is ready:  {address}\n\n"
        "  Sign in as one of the people in var/demo.json; it holds their passwords.\n"
        "  Files to try an upload with: var/phantom      Mail that the site sent: var/mail\n"
        "  Ctrl-C stops everything. `make demo` takes it up again, `make demo-reset` deletes it.",
        flush=True,
    )


def stop(children: Children, *, stop_database: bool) -> None:
    """End all that was started, the database last."""

    def at_once(number: int, frame: object) -> None:
        children.signal(signal.SIGKILL)
        _kill_cluster()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, at_once)
    print("\nStopping (Ctrl-C again: at once) …", flush=True)
    (VAR / "demo-address").unlink(missing_ok=True)
    children.stop(DRAIN_SECONDS)
    _kill_cluster()
    if stop_database:
        postgres.stop(postgres.server())
    print("Stopped.", flush=True)


def _kill_cluster() -> None:
    """The worker's own children, if it was killed before it could end them."""
    with suppress(OSError, ValueError):
        group = int((VAR / "worker.pgid").read_text())
        if b"qcluster" in Path(f"/proc/{group}/cmdline").read_bytes():
            os.killpg(group, signal.SIGKILL)
        (VAR / "worker.pgid").unlink()


def _reset() -> None:
    if not os.environ.get("DATABASE_URL"):
        postgres.reset(postgres.server())
    elif (VAR / "demo.json").exists():
        print("DATABASE_URL names a database of yours; its tables are left as they are.")
    for name in MADE:
        path = VAR / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    print("The demo's people, studies and database are deleted. `make demo` makes new ones.")


if __name__ == "__main__":
    sys.exit(main())
