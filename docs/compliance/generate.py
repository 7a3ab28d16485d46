"""Writes the page of requirements on logging from requirements.toml.

    python docs/compliance/generate.py > docs/compliance/requirements.md

`make docs` runs it; `tests/test_docs.py` fails when the committed page differs.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS = Path(__file__).with_name("requirements.toml")
INTRODUCTION = """\
# Requirements on logging, and what meets them

Generated from [requirements.toml](requirements.toml) by `make docs`. The requirements are in our
words; the text of each standard decides. `tests/flows/test_compliance.py` runs every command on a
log that is signed and cosigned, and fails when one fails; every other test is part of the suite.
Words in capitals are files of yours ([verify-history.md](../verify-history.md)). "Not ours" are
duties of the operator that no software of a control plane can meet.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([INTRODUCTION, *_standards()])


def _standards() -> Iterator[str]:
    for standard in tomllib.loads(ROWS.read_text())["standard"]:
        yield f"## {standard['title']}\n"
        yield "| Requirement | Asks | Met by | Shown by | With the operator |"
        yield "|---|---|---|---|---|"
        for row in standard["row"]:
            yield _row(row)
        yield ""


def _row(row: dict[str, Any]) -> str:
    if "not_ours" in row:
        cells = [row["id"], row["asks"], "not ours", "", row["not_ours"]]
    else:
        commands = "<br>".join(f"`{each}`" for each in row.get("commands", ()))
        tests = "<br>".join(f"`{each}`" for each in row["tests"])
        cells = [row["id"], row["asks"], commands, tests, row.get("rest", "")]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
