"""Groups of tables: the unit that has a layout, is rebuilt, and is switched to. Pure.

A read model is one PostgreSQL schema that holds the tables of one group, for example `resources_3`.
There is no ALTER: a new read model is filled from the log beside the old one, and then
`secaplane.active` names it. So a group can be added or rebuilt without touching another group.
"""

import re

import msgspec

NAME = re.compile(r"[a-z]+(_[a-z]+)*")


class TableGroup(msgspec.Struct, frozen=True):
    """The tables of one group, and the version of their layout.

    Raises:
        ValueError: a name that cannot be the beginning of a schema's name.
    """

    name: str
    """Lower-case words. A read model of the group is the schema `<name>_<number>`."""
    layout: int
    """Counts up with every change of the tables, or of what is put into them. Releases of two
    layouts run side by side, each on read models of its own."""
    tables: str
    """SQL that creates what is missing, with `{schema}` before each table."""
    digest: str = ""
    """The digest of the tables and of what fills them in this layout. A test compares it
    (tests/rules/test_layouts.py) and prints the new one."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a name of lower-case words")

    @property
    def first(self) -> str:
        """The first read model of a fresh database."""
        return self.read_model(1)

    def read_model(self, number: int) -> str:
        return f"{self.name}_{number}"

    def number(self, read_model: str) -> int:
        return int(read_model.removeprefix(f"{self.name}_"))


HOUSEKEEPING = """
create schema if not exists {schema};

-- how far the rows of this read model are in each stream
create table if not exists {schema}.checkpoints (
    stream   text   collate "C" primary key,
    position bigint not null default 0,
    epoch    bigint not null default 0 -- counts changes of the quarantine
);

-- resources whose events are left out, because one of them could not be decoded or applied
create table if not exists {schema}.quarantine (
    kind     text   collate "C" not null,
    path     text   collate "C" not null,
    stream   text   collate "C" not null,
    position bigint not null,
    reason   text   not null,
    primary key (kind, path)
);
"""
"""The tables that every read model has."""
