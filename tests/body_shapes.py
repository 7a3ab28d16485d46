"""Bodies of every shape that may cost a reader more than its bytes. The tests of bounded work and
the figure `parse_growth` use them; a new shape is one line in SHAPES, a new place one in PLACES."""

from collections.abc import Callable, Iterator, Mapping

Make = Callable[[int], str]
"""(characters) -> a JSON value of about that size, or text that looks like one."""


def _list(item: str) -> Make:
    return lambda size: f"[{','.join([item] * (size // (len(item) + 1)))}]"


def _nested(opening: str, closing: str, depth: int) -> Make:
    """Towers of a depth, side by side."""
    return lambda size: _list(f"{opening * depth}0{closing * depth}")(size)


def _tower(opening: str, closing: str) -> Make:
    """One tower, as deep as it is large."""

    def make(size: int) -> str:
        depth = size // (len(opening) + len(closing))
        return f"{opening * depth}0{closing * depth}"

    return make


def _below_long_keys(item: str, levels: int) -> Make:
    """Half of the text is keys, one in the other; the other half are items below all of them."""

    def make(size: int) -> str:
        key = "k" * (size // 2 // levels)
        opening = f'{{"{key}":' * levels
        return f"{opening}{_list(item)(size // 2)}{'}' * levels}"

    return make


def _text(piece: str) -> Make:
    return lambda size: '"' + piece * (size // len(piece)) + '"'


def _members(value: str) -> Make:
    return lambda size: "{" + ",".join(f'"{n:06}":{value}' for n in range(size // 12)) + "}"


def _duplicates(value: str) -> Make:
    return lambda size: "{" + ",".join([f'"":{value}'] * (size // (4 + len(value)))) + "}"


def _with_fault_at_the_end(make: Make, fault: str = '{"":0,"":0}') -> Make:
    return lambda size: f"[{make(size - 16)},{fault}]"


ZEROS = _list("0")
"""The shape that others are compared with."""
SHAPES: Mapping[str, Make] = {
    "zeros": ZEROS,
    "integers": _list("1234567890123456"),
    "largest integers": _list("9223372036854775807"),
    "integers beyond int64": _list("9223372036854775808"),
    "integers of 4,000 digits": _list("9" * 4000),
    "an integer of one text": lambda size: "9" * size,
    "exponents": _list("1e9"),
    "fractions": _list("0.5"),
    "a fraction of one text": lambda size: f"0.{'3' * size}",
    "infinite numbers": _list("1e999"),
    "literals": _list("null"),
    "constants": _list("NaN"),
    "empty lists": _list("[]"),
    "empty objects": _list("{}"),
    "small lists": _list("[0]"),
    "small objects": _list('{"":0}'),
    "two small objects in each other": _list('{"":{}}'),
    "towers of lists": _nested("[", "]", 50),
    "towers of objects": _nested('{"":', "}", 50),
    "towers that are too deep": _nested("[", "]", 70),
    "one tower of lists": _tower("[", "]"),
    "one tower of objects": _tower('{"":', "}"),
    "one tower that is not closed": lambda size: "[" * size,
    "many keys": _members("0"),
    "many keys of objects": _members("{}"),
    "duplicate keys": _duplicates("0"),
    "duplicate keys of lists": _duplicates("[0]"),
    "objects with duplicate keys": _list('{"":0,"":0}'),
    "values below a long key": _below_long_keys("0", 1),
    "lists below long keys": _below_long_keys("[0]", 50),
    "faults below a long key": _below_long_keys('{"":0,"":0}', 1),
    "faults below long keys": _below_long_keys('{"":0,"":0}', 50),
    "a fault after small lists": _with_fault_at_the_end(_list("[0]")),
    "a fault after small objects": _with_fault_at_the_end(_list('{"":{}}')),
    "a fault after exponents": _with_fault_at_the_end(_list("1e9")),
    "a fault after towers": _with_fault_at_the_end(_nested('{"":', "}", 50)),
    "a NUL after small texts": _with_fault_at_the_end(_list('""'), '"\\u0000"'),
    "a NUL after small objects": _with_fault_at_the_end(_list('{"":""}'), '"\\u0000"'),
    "empty texts": _list('""'),
    "texts of NUL": _list('"\\u0000"'),
    "one text of NUL": _text("\\u0000"),
    "keys of NUL": _list('{"\\u0000":0}'),
    "halves of pairs": _list('"\\ud800"'),
    "one text of halves": _text("\\ud800"),
    "whole pairs": _list('"\\ud83d\\ude00"'),
    "one text of escapes": _text("\\n"),
    "one text of backslashes": _text("\\\\"),
    "one text": _text("x"),
    "one text that does not end": lambda size: '"' + "x" * size,
    "one text of brackets": _text("["),
    "texts beyond ASCII": _text("é"),
    "blanks": lambda size: f"[{' ' * size}]",
    "lines": lambda size: "[" + "\n" * size,
    "labels": lambda size: "{" + ",".join(f'"k{n}":"{"x" * 60}"' for n in range(size // 72)) + "}",
    "references": _list('{"resource":"block-storages/d"}'),
    "permissions": _list('{"provider":"seca.compute","resources":["*"],"verb":["get"]}'),
    "permissions with many verbs": _list(
        '{"provider":"seca.compute","resources":["*"],"verb":["get","put","list","delete","post"]}'
    ),
    "patterns": _list('"instances/*"'),
}

_VOLUME = '"sizeGB":1,"skuRef":{"resource":"skus/s"}'
_INSTANCE = (
    '"skuRef":{"resource":"skus/s"},"zone":"a",'
    '"bootVolume":{"deviceRef":{"resource":"block-storages/d"}}'
)
PLACES: Mapping[str, tuple[str, str]] = {
    "a value": ("workspace", "VALUE"),
    "its metadata": ("workspace", '{"metadata":VALUE}'),
    "the spec": ("block-storage", '{"spec":VALUE}'),
    "an unknown field": ("block-storage", f'{{"spec":{{{_VOLUME},"x":VALUE}}}}'),
    "the labels": ("block-storage", f'{{"spec":{{{_VOLUME}}},"labels":VALUE}}'),
    "extensions": ("block-storage", f'{{"spec":{{{_VOLUME}}},"extensions":VALUE}}'),
    "a list of the spec": ("instance", f'{{"spec":{{{_INSTANCE},"dataVolumes":VALUE}}}}'),
    "permissions": ("role", '{"spec":{"permissions":VALUE}}'),
    "patterns": (
        "role",
        '{"spec":{"permissions":[{"provider":"seca.compute","verb":["get"],"resources":VALUE}]}}',
    ),
}
"""Name -> (kind, a body with a place for the value)."""


def bodies(size: int) -> Iterator[tuple[str, str, bytes]]:
    """(name, kind, body) for every shape in every place; each body has about `size` bytes."""
    for shape, make in SHAPES.items():
        value = make(size)
        for place, (kind, body) in PLACES.items():
            yield f"{shape} as {place}", kind, body.replace("VALUE", value).encode()
