"""The projection groups of this release, and those that other distributions add."""

from importlib.metadata import entry_points

from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.projections import history, resources
from secaplane.projector.projections.counts import Counts
from secaplane.projector.projections.history import History
from secaplane.projector.projections.labels import LabelRows
from secaplane.projector.projections.links import Links
from secaplane.projector.projections.orphans import Orphans
from secaplane.projector.projections.resources import Resources
from secaplane.projector.projections.specs import Specs
from secaplane.projector.projections.usage import Usage
from secaplane.readmodel.schema.activity import ACTIVITY as ACTIVITY_TABLES
from secaplane.readmodel.schema.history import HISTORY as HISTORY_TABLES
from secaplane.readmodel.schema.resources import RESOURCES as RESOURCES_TABLES

ENTRY_POINTS = "secaplane.projections"
"""Each entry point of this group is a `ProjectionGroup`."""

RESOURCES = ProjectionGroup(
    RESOURCES_TABLES,
    # Counts and Usage forget a resource before Resources does: they look up its rows
    (Counts(), Usage(), Links(), LabelRows(), Specs(), Orphans(), Resources()),
    load=resources.load,
)
HISTORY = ProjectionGroup(HISTORY_TABLES, (History(),), load=history.load, linger_s=0.1)
ACTIVITY = ProjectionGroup(ACTIVITY_TABLES, (), of_entries=True, linger_s=0.1)


def groups() -> tuple[ProjectionGroup, ...]:
    """All groups, `resources` first: the other processes wait for its rows.

    Raises:
        ValueError: two groups have one name.
    """
    added = (each.load() for each in entry_points(group=ENTRY_POINTS))
    found = (RESOURCES, HISTORY, ACTIVITY, *added)
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise ValueError(f"two projection groups have one name: {', '.join(sorted(names))}")
    return found
