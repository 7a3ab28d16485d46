"""`limit` and `skipToken`."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.errors import Malformed
from secaplane.query.pages import FIRST_PAGE, LIMIT_DEFAULT, LIMIT_MAX, after, limit, skip_token

KEYS = (b"new", b"old")
HERE = "instance tenants/acme/workspaces/web/instances False env=prod"
PLACES = [("a", 1), ("one.two-3", 2**62), ("x" * 128, 7), ("SKU.Upper", 12)]


@pytest.mark.parametrize(
    ("sent", "taken"),
    [(None, LIMIT_DEFAULT), ("1", 1), ("1000", 1000), ("10000", LIMIT_MAX), ("00010", 10)],
)
def test_a_limit_within_its_bounds_is_taken(sent: str | None, taken: int) -> None:
    assert limit(sent) == taken


@pytest.mark.parametrize(
    "sent",
    [
        *("", "0", "00000", "10001", "-1", "+1", "1.0", "1e3", " 1", "1 ", "ten", "٣", "²"),
        *("00010000000", "0000011111111111", "1" * 5000, "0" * 5000 + "1"),
    ],
)
def test_any_other_limit_is_refused(sent: str) -> None:
    with pytest.raises(Malformed) as raised:
        limit(sent)
    assert [source.parameter for source in raised.value.sources] == ["limit"]


def test_without_a_token_a_page_begins_at_the_beginning() -> None:
    assert after(None, HERE, KEYS) == FIRST_PAGE


@pytest.mark.parametrize("place", PLACES)
def test_a_token_leads_back_to_its_place(place: tuple[str, int]) -> None:
    assert after(skip_token(place, HERE, KEYS), HERE, KEYS) == place


@pytest.mark.parametrize("place", PLACES)
def test_a_token_needs_no_escaping_in_a_url(place: tuple[str, int]) -> None:
    token = skip_token(place, HERE, KEYS)
    assert token.replace("-", "").replace("_", "").isalnum()


def test_the_first_key_signs_and_any_key_opens() -> None:
    before_rotation = skip_token(("a", 1), HERE, KEYS[1:])
    assert after(before_rotation, HERE, KEYS) == ("a", 1)
    after_rotation = skip_token(("a", 1), HERE, KEYS)
    assert after(after_rotation, HERE, KEYS[:1]) == ("a", 1)
    assert_refused(before_rotation, keys=KEYS[:1])


@pytest.mark.parametrize(
    "listed",
    [
        "instance tenants/acme/workspaces/other/instances False env=prod",
        "instance tenants/acme/workspaces/web/instances None env=prod",
        "instance tenants/acme/workspaces/web/instances False env=test",
        "block-storage tenants/acme/workspaces/web/instances False env=prod",
        "",
    ],
)
def test_a_token_is_of_one_list_only(listed: str) -> None:
    assert_refused(skip_token(("a", 1), HERE, KEYS), listed=listed)


def test_a_token_with_a_bit_changed_is_refused() -> None:
    data = bytearray(base64.urlsafe_b64decode(skip_token(("name", 12), HERE, KEYS) + "=="))
    for n in range(len(data)):
        data[n] ^= 1
        assert_refused(base64.urlsafe_b64encode(data).decode().rstrip("="))
        data[n] ^= 1


@pytest.mark.parametrize(
    "token", ["", "x", "false", "====", "a b", "é", "\0", "A" * 22, "A" * 5000, "..", "%41"]
)
def test_a_token_that_is_none_of_ours_is_refused(token: str) -> None:
    assert_refused(token)


def test_a_token_that_is_longer_or_shorter_is_refused() -> None:
    token = skip_token(("name", 12), HERE, KEYS)
    for other in (token[:-4], token[4:], token + "AAAA", token * 2):
        assert_refused(other)


# --- any token, any list

NAMES = st.text(st.characters(codec="utf-8"), max_size=128)
PLACE = st.tuples(NAMES, st.integers(0, 2**63 - 1))
KEY = st.binary(min_size=1, max_size=32)


@given(place=PLACE, listed=NAMES, mine=KEY, others=st.lists(KEY, max_size=2))
def test_any_place_is_found_again_in_its_list(
    place: tuple[str, int], listed: str, mine: bytes, others: list[bytes]
) -> None:
    token = skip_token(place, listed, [mine])
    assert after(token, listed, [*others, mine]) == place
    assert len(token) < 1024


@given(place=PLACE, listed=NAMES, other=NAMES)
def test_no_token_of_one_list_leads_into_another(
    place: tuple[str, int], listed: str, other: str
) -> None:
    token = skip_token(place, listed, KEYS)
    if other != listed:
        assert_refused(token, listed=other)


@given(place=PLACE, data=st.data())
def test_no_token_that_was_cut_or_changed_is_taken(
    place: tuple[str, int], data: st.DataObject
) -> None:
    token = skip_token(place, HERE, KEYS)
    cut = data.draw(st.integers(0, len(token) - 1))
    assert_refused(token[:cut])
    sign = data.draw(st.sampled_from("ABYZabyz0189-_=+/ é"))
    forged = token[:cut] + sign + token[cut + 1 :]
    assert same_bytes(forged, token) or refused(forged)


@given(st.text(max_size=64) | st.text("ABCDabcd0123-_", max_size=64))
def test_no_text_that_we_did_not_sign_is_taken(token: str) -> None:
    assert_refused(token)


def same_bytes(one: str, other: str) -> bool:
    """The last sign of base64 may hold bits that mean nothing."""
    try:
        return decoded(one) == decoded(other)
    except ValueError:
        return False


def decoded(token: str) -> bytes:
    return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)


def refused(token: str) -> bool:
    assert_refused(token)
    return True


def assert_refused(token: str, listed: str = HERE, keys: tuple[bytes, ...] = KEYS) -> None:
    with pytest.raises(Malformed) as raised:
        after(token, listed, keys)
    assert [source.parameter for source in raised.value.sources] == ["skipToken"]
