"""The system whose outage an exception tells of."""

from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Unavailable
from secaplane.plugins.plugin import CloudUnavailable
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers.wakes.outages import System


def system_of(error: Exception) -> System | None:
    """The system whose outage made a reconciliation fail; None where the failure is the resource's
    own. Plugins may raise OSError or TimeoutError instead of CloudUnavailable."""
    match error:
        case LogUnavailable() | Unavailable(__cause__=LogUnavailable()):
            return System.LOG
        case CloudUnavailable() | OSError() | TimeoutError():
            return System.CLOUD
        case Unavailable():
            return System.ROWS
    return System.ROWS if isinstance(error, DATABASE_UNAVAILABLE) else None
