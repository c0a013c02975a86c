"""Page tokens are bound to a caller and a list."""

import base64

import pytest

from runtime.errors import InvalidArgument
from runtime.page_token import PageTokens, derived_key

TOKENS = PageTokens(b"key", method="ListHolds")


@pytest.mark.parametrize("place", [b"", b"0", b"mug", bytes(range(256))])
@pytest.mark.parametrize("scope", ["", "c:ann"])
def test_a_position_survives_the_round_trip(place, scope):
    assert TOKENS.read(TOKENS.write(place, scope), scope) == place


@pytest.mark.parametrize(
    ("tokens", "scope"),
    [(TOKENS, "c:bob"), (PageTokens(b"other", method="ListHolds"), ""), (PageTokens(b"key", method="ListOrders"), "")],
)
def test_a_token_of_another_list_key_or_scope_is_refused(tokens, scope):
    with pytest.raises(InvalidArgument) as refused:
        TOKENS.read(tokens.write(b"mug", scope))
    assert (refused.value.reason, refused.value.fields[0].field) == ("INVALID_PAGE_TOKEN", "page_token")
    assert "ListHolds" in refused.value.message


def test_position_and_scope_are_signed_separately():
    """Both are signed, one after the other: `mug` for `c:ann` must not be `mugc:a` for `nn`."""
    tokens = PageTokens(b"key", method="ListHolds", place_bytes=3)
    token = tokens.write(b"mug", "c:ann")
    assert tokens.read(token, "c:ann") == b"mug"
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    moved = base64.urlsafe_b64encode(raw[:3] + b"c:a" + raw[3:]).rstrip(b"=").decode()
    with pytest.raises(InvalidArgument):
        tokens.read(moved, "nn")


@pytest.mark.parametrize("token", ["", "x", "MSBtdWc=", "ÿ", "A" * 21, "A" * 22, "A" * 5000])
def test_malformed_tokens_are_rejected(token):
    with pytest.raises(InvalidArgument):
        TOKENS.read(token)


def test_keys_are_shared_by_replicas_and_differ_by_purpose():
    url = "redis://:s%40cret@a:6379/0"
    assert derived_key(url, b"a") == derived_key("redis://:s%40cret@b:6379/1", b"a")
    assert len({derived_key(url, b"a"), derived_key(url, b"b"), derived_key("redis://:other@a:6379/0", b"a")}) == 3
