"""An application of JSON Patch (RFC 6902) that owes nothing to the product."""

from copy import deepcopy
from typing import Any


def applied(value: Any, operations: list[dict[str, Any]]) -> Any:
    """An implementation of RFC 6902 for the three operations that are used."""
    holder = {"": deepcopy(value)}
    for operation in operations:
        steps = ["", *operation["path"].split("/")[1:]]
        steps = [each.replace("~1", "/").replace("~0", "~") for each in steps]
        within: Any = holder
        for step in steps[:-1]:
            within = within[int(step)] if isinstance(within, list) else within[step]
        last = steps[-1]
        match operation["op"], within:
            case "remove", list():
                del within[int(last)]
            case "remove", dict():
                del within[last]
            case "add", list():
                within.insert(int(last), operation["value"])
            case "replace", list():
                within[int(last)] = operation["value"]
            case "add" | "replace", dict():
                within[last] = operation["value"]
    return holder[""]
