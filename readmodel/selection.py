"""The condition that a label selector puts on a list, as SQL. Pure."""

from collections.abc import Sequence

import msgspec

FIRST_ARGUMENT = 6
"""The number of a selection's first argument in the query of a page."""


class Selection(msgspec.Struct, frozen=True):
    """The resources that a label selector selects (`query.selectors` makes it)."""

    indexed: str = ""
    """SQL over `l`, a row of `labels`: a condition on one label, which the index of labels answers.
    Empty where no term has one."""
    ordered: bool = False
    """True where that is one value of one key, so that the index is in the order of the list."""
    conditions: str = ""
    """SQL to be added to another condition: over `l`, if `indexed`, and over `r`, the resource."""
    arguments: Sequence[object] = ()
    """Numbered from FIRST_ARGUMENT on."""

    @property
    def scans(self) -> bool:
        """The query may read many rows that it does not answer."""
        return bool(self.conditions) or (bool(self.indexed) and not self.ordered)


ALL_RESOURCES = Selection()


def limited_to(selection: Selection, names: Sequence[str] | None) -> Selection:
    """The resources of a selection with one of some names; all of them where `names` is None."""
    if names is None:
        return selection
    number = FIRST_ARGUMENT + len(selection.arguments)
    return msgspec.structs.replace(
        selection,
        conditions=f"{selection.conditions} and r.name = any(${number}::text[])",
        arguments=(*selection.arguments, list(names)),
    )
