"""
The local certificate authority and the workloads' certificates.
"""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.unit.translator.rig import REGISTRY
from translator.control.certificates import issue_certificates

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = "spiffe://cluster.local/ns/shop/sa/orders"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert ORDERS in issue_certificates(REGISTRY, tmp_path, now=NOW)
    return tmp_path


def current(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "ns/shop/sa/orders/current/chain.pem").read_bytes())


def test_certificate_carries_the_service_accounts_identity(folder: Path) -> None:
    names = current(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ORDERS]


def test_certificate_lasts_a_day_and_is_signed_by_the_root(folder: Path) -> None:
    certificate = current(folder)
    assert certificate.not_valid_after_utc == NOW + timedelta(hours=24)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "root/ca.pem").read_bytes()))


def test_keys_have_owner_only_permissions(folder: Path) -> None:
    for key in folder.rglob("key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_fresh_certificate_is_kept(folder: Path) -> None:
    before = current(folder)
    assert issue_certificates(REGISTRY, folder, now=NOW + timedelta(hours=11)) == []
    assert current(folder) == before


def test_certificate_past_half_of_its_life_is_renewed_under_the_same_root(folder: Path) -> None:
    before, root = current(folder), (folder / "root/ca.pem").read_bytes()
    assert ORDERS in issue_certificates(REGISTRY, folder, now=NOW + timedelta(hours=13))
    assert current(folder).serial_number != before.serial_number
    assert (folder / "root/ca.pem").read_bytes() == root


def test_renewal_can_be_forced(folder: Path) -> None:
    assert ORDERS in issue_certificates(REGISTRY, folder, now=NOW, renew=True)


def test_old_versions_are_removed(folder: Path) -> None:
    for hours in range(1, 6):
        issue_certificates(REGISTRY, folder, now=NOW + timedelta(hours=hours), renew=True)
    assert len([path for path in (folder / "ns/shop/sa/orders").iterdir() if not path.is_symlink()]) == 2


def test_gateways_credential_is_for_its_hosts_and_signed_by_the_root(folder: Path) -> None:
    place = folder / "credentials" / "edge-certificate" / "current"
    certificate = x509.load_pem_x509_certificate((place / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((place / "ca.crt").read_bytes()))
    assert stat.S_IMODE((place / "tls.key").stat().st_mode) == 0o600
