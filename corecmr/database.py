"""Whether an error is the loss of the database: then what was being done is not to blame."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError

#: PostgreSQL ends or refuses connections: shut down, crashed, starting.
_GOING = frozenset({"57P01", "57P02", "57P03"})


def went_away(error: Exception) -> bool:
    """Whether ``error`` says that the connection was lost or could not be made.

    The classes are not enough: a deadlock is an OperationalError too, and a server that dies
    is sometimes told of by the most general class of all. Such losses carry no code of the
    server's, or one of a few.
    """
    if type(error) not in {DatabaseError, InterfaceError, OperationalError}:
        return False
    # The driver's error; those of Django itself, such as of an update that met no row, have none.
    return getattr(error.__cause__, "pgcode", "") in {None, *_GOING}
