"""Log lines: one line each, with the request's id; control characters cannot forge a line."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), 127, 0x85, 0x2028, 0x2029]}
_CONTROL_BUT_NEWLINE = {code: text for code, text in _CONTROL.items() if code not in (9, 10)}


class RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        # Django writes its line on an answer with an error after the request has left us.
        asked = getattr(record, "request", None)
        record.request_id = getattr(asked, "request_id", None) or request_id.get()
        return True


class LineFormatter(logging.Formatter):
    """Time, level, logger, request id, message. A trace keeps its lines; a message has one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(_CONTROL)

    def formatException(self, ei: object) -> str:
        return super().formatException(ei).translate(_CONTROL_BUT_NEWLINE)  # type: ignore[arg-type]


class JsonFormatter(logging.Formatter):
    """The same as one JSON object a line, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=True)
