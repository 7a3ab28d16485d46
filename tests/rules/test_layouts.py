"""Layouts count up with tables and with what fills them, and so does the snapshots' format."""

import pytest

from secaplane.eventlog import snapshots
from secaplane.projector.groups import ACTIVITY, HISTORY, RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.readmodel.schema.group import TableGroup
from tests.digests import layout_digest, snapshot_digest

LAYOUT_CHANGED = """
Tables, projections or stored values of {name} have changed (readmodel/schema/{name}.py).
1. If rows of the same log are different now, or tables are: layout = {layout} + 1. A release of the
   new layout fills its own read model when it starts. Keep the layout if only the code was renamed.
2. In any case, set the digest that this test prints after that: digest = "{digest}".
"""
FORMAT_CHANGED = """
The fields of Resource or of Past, or one of their folds, have changed (eventlog/snapshots.py).
1. If a fold of the same events is different now: FORMAT = {format} + 1. Older snapshots are not
   found then, and histories are read from the log. Keep the format if only the code was renamed.
2. In any case, set the digest that this test prints after that: DIGEST = "{digest}".
"""


@pytest.mark.parametrize("group", [RESOURCES, HISTORY, ACTIVITY], ids=lambda group: group.name)
def test_a_layout_counts_up_with_the_tables_and_with_what_fills_them(
    group: ProjectionGroup,
) -> None:
    digest, tables = layout_digest(group), group.tables
    message = LAYOUT_CHANGED.format(name=group.name, layout=tables.layout, digest=digest)
    assert digest == tables.digest, message


def test_the_snapshot_format_counts_up_with_resource_and_evolve() -> None:
    digest = snapshot_digest()
    message = FORMAT_CHANGED.format(format=snapshots.FORMAT, digest=digest)
    assert digest == snapshots.DIGEST, message


@pytest.mark.parametrize("name", ["", "Rows", "rows_1", "rows-", "rows; drop", "_rows"])
def test_the_name_of_a_group_can_begin_the_name_of_a_schema(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case words"):
        TableGroup(name, layout=1, digest="", tables="")
