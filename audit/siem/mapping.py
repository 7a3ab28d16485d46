"""The mapping of each type of record to the published formats, as rows of data. Pure.

OCSF: class, activity and severity of schema 1.8.0. CADF: event type and action of DSP0262.
"""

from typing import NamedTuple

from secaplane.audit.siem.records import SiemRecord

API, AUTHENTICATION, ENTITY, LIFECYCLE, UNCLASSIFIED = 6003, 3002, 3004, 6002, 0
CLASSES = {
    API: (6, "API Activity"),
    AUTHENTICATION: (3, "Authentication"),
    ENTITY: (3, "Entity Management"),
    LIFECYCLE: (6, "Application Lifecycle"),
    UNCLASSIFIED: (0, "Base Event"),
}
"""OCSF: category and name of each class."""
SEVERITIES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High"}
INFORMATIONAL, LOW, MEDIUM, HIGH = SEVERITIES
UNKNOWN_USER, USER, SYSTEM_USER = 0, 1, 3
"""OCSF `user.type_id`."""
OTHER = "Other"
"""The activity is named by the verb of the record; in CADF, too."""
ACTIVITIES = {
    API: {"Create": 1, "Read": 2, "Update": 3, "Delete": 4, OTHER: 99},
    AUTHENTICATION: {"Logon": 1},
    ENTITY: {"Create": 1, "Update": 3, "Delete": 4, OTHER: 99},
    LIFECYCLE: {"Start": 3, "Stop": 4},
    UNCLASSIFIED: {"Unknown": 0, OTHER: 99},
}
"""OCSF: `activity_id` by name, for each class."""
BY_VERB = "By verb"
VERBS = {"get": "Read", "head": "Read", "list": "Read", "delete": "Delete"}
"""Activities of refused requests. A refused PUT may have been to create or to update: Other."""
TARGETS = {
    "seca.storage": "storage",
    "seca.compute": "compute",
    "seca.network": "network",
    "seca.authorization": "data/security",
}
"""CADF: the taxonomy in which the kinds of a provider are; any other: `service`."""


class FormatRow(NamedTuple):
    ocsf_class: int
    activity: str
    severity: int
    cadf_type: str
    cadf_action: str


ROWS: dict[str, FormatRow] = {
    # type of record       OCSF                                       CADF
    "created": FormatRow(API, "Create", INFORMATIONAL, "activity", "create"),
    "updated": FormatRow(API, "Update", INFORMATIONAL, "activity", "update"),
    "action-requested": FormatRow(API, OTHER, INFORMATIONAL, "activity", OTHER),
    "deletion-requested": FormatRow(API, "Delete", INFORMATIONAL, "activity", "delete"),
    "status-reported": FormatRow(ENTITY, "Update", INFORMATIONAL, "monitor", "monitor"),
    "deleted": FormatRow(ENTITY, "Delete", INFORMATIONAL, "activity", "delete"),
    "closed": FormatRow(ENTITY, OTHER, MEDIUM, "activity", "disable"),
    "unreadable": FormatRow(UNCLASSIFIED, "Unknown", HIGH, "monitor", "unknown"),
    "gap": FormatRow(UNCLASSIFIED, OTHER, HIGH, "monitor", "unknown"),
    "unauthenticated": FormatRow(AUTHENTICATION, "Logon", LOW, "control", "authenticate"),
    "login": FormatRow(AUTHENTICATION, "Logon", INFORMATIONAL, "control", "authenticate/login"),
    "forbidden": FormatRow(API, BY_VERB, MEDIUM, "control", "deny"),
    "refused": FormatRow(API, BY_VERB, LOW, "control", "deny"),
    "read": FormatRow(API, "Read", INFORMATIONAL, "activity", "read"),
    "orphan-removed": FormatRow(ENTITY, "Delete", MEDIUM, "activity", "delete"),
    "key-destroyed": FormatRow(ENTITY, "Delete", HIGH, "activity", "delete"),
    "process-started": FormatRow(LIFECYCLE, "Start", INFORMATIONAL, "activity", "start"),
    "process-stopped": FormatRow(LIFECYCLE, "Stop", INFORMATIONAL, "activity", "stop"),
    "heads": FormatRow(UNCLASSIFIED, OTHER, INFORMATIONAL, "monitor", "monitor"),
}


def row_of(record: SiemRecord) -> FormatRow:
    return ROWS[record.type]


def activity_of(row: FormatRow, record: SiemRecord) -> tuple[int, str]:
    """OCSF `activity_id` and `activity_name`."""
    named = VERBS.get(record.verb, OTHER) if row.activity == BY_VERB else row.activity
    shown = (record.verb or record.type) if named == OTHER else named
    return ACTIVITIES[row.ocsf_class][named], shown
