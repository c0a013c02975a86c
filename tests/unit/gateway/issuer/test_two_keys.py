"""Rotation of the signing key: each key is published for as long as its tokens may be valid."""

import os
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from gateway.issuer.signing import LONGEST, PREVIOUS, next_key, retire_previous, sign_with_next, signer_in

NOW = datetime.now(UTC)


@pytest.fixture
def signer(tmp_path):
    return signer_in(tmp_path, "http://issuer")


def token_key(signer):
    return jwt.get_unverified_header(signer.token("ana", now=NOW, lifetime=timedelta(hours=1)))["kid"]


def published(signer):
    return [key["kid"] for key in signer.published()]


def test_the_next_key_is_published_before_it_signs(signer):
    old = token_key(signer)
    next_key(signer.folder)
    assert token_key(signer) == old
    assert published(signer)[0] == old
    assert len(published(signer)) == 2


def test_the_previous_key_stays_published_after_rotation(signer):
    old = token_key(signer)
    next_key(signer.folder)
    both = published(signer)
    sign_with_next(signer.folder)
    assert token_key(signer) == both[1]
    assert published(signer) == [both[1], old]


def test_the_previous_key_is_withdrawn_when_its_last_token_has_expired(signer):
    next_key(signer.folder)
    sign_with_next(signer.folder)
    assert retire_previous(signer.folder, now=NOW)
    long_ago = (NOW - LONGEST - timedelta(seconds=1)).timestamp()
    os.utime(signer.folder / PREVIOUS, (long_ago, long_ago))
    assert not retire_previous(signer.folder, now=NOW)
    assert published(signer) == [token_key(signer)]
