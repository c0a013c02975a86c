"""
The local certificate authority, and one SPIFFE certificate for each service account.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from translator.model.registry import Registry, is_ip

ROOT_LIFETIME = timedelta(days=3650)
WORKLOAD_LIFETIME = timedelta(hours=24)
CREDENTIAL_LIFETIME = timedelta(days=365)
CLOCK_SKEW = timedelta(minutes=5)
KEPT_VERSIONS = 2
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


def issue_certificates(
    registry: Registry, folder: Path, *, now: datetime, renew: bool = False, renew_credentials: bool = False
) -> list[str]:
    """
    Issue a certificate to every service account; those past half of their lifetime, or all with *renew*, are renewed.

    The same holds for Gateways' certificates, with *renew_credentials*.

    Returns the identities with a new one.
    """
    authority = _authority(folder / "root", registry.trust_domain, now)
    issued = []
    accounts = sorted({(workload.namespace, workload.service_account) for workload in registry.workloads})
    for namespace, account in accounts:
        place = folder / "ns" / namespace / "sa" / account
        if renew or not _is_fresh(place / "current" / "chain.pem", authority[1], now):
            identity = f"spiffe://{registry.trust_domain}/ns/{namespace}/sa/{account}"
            _issue(place, identity, authority, now)
            issued.append(identity)
    for credential in registry.credentials:
        place = folder / "credentials" / credential.name
        if renew_credentials or not _is_fresh(place / "current" / "tls.crt", authority[1], now):
            _issue_credential(place, credential.hosts, authority, now)
            issued.append(credential.name)
    return issued


Authority = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def _authority(folder: Path, trust_domain: str, now: datetime) -> Authority:
    """
    Return the root, which is created once.
    """
    if (folder / "key.pem").exists() and (folder / "ca.pem").exists():
        key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{folder / 'key.pem'}: must be a key on an elliptic curve")
        return key, x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain), x509.NameAttribute(NameOID.COMMON_NAME, "root")]
    )
    builder = _builder(name, name, key.public_key(), now, ROOT_LIFETIME)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    signed = certificate.add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256())
    _write(folder / "key.pem", _key_pem(key))
    _write(folder / "ca.pem", _pem(signed))
    return key, signed


def _is_fresh(chain: Path, root: x509.Certificate, now: datetime) -> bool:
    if not chain.exists():
        return False
    certificate = x509.load_pem_x509_certificate(chain.read_bytes())
    half = certificate.not_valid_before_utc + (certificate.not_valid_after_utc - certificate.not_valid_before_utc) / 2
    return now < half and certificate.issuer == root.subject


def _issue(place: Path, identity: str, authority: Authority, now: datetime) -> None:
    """
    Write a new certificate beside the old one and switch to it atomically, so that key and certificate always match.
    """
    root_key, root = authority
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(x509.Name([]), root.subject, key.public_key(), now, WORKLOAD_LIFETIME)
    certificate = (
        builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    files = {"key.pem": _key_pem(key), "chain.pem": _pem(certificate), "ca.pem": _pem(root)}
    _switch(place, f"{certificate.serial_number:x}", files)


def _switch(place: Path, version: str, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        _write(place / version / name, content)
    temporary = place / f".current.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version)
    temporary.replace(place / "current")
    _forget(place)


def _issue_credential(place: Path, hosts: tuple[str, ...], authority: Authority, now: datetime) -> None:
    """
    Write a Gateway's certificate with the names of a Kubernetes secret, and switch to it as to a workload's.
    """
    root_key, root = authority
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.IPAddress(ip_address(host)) if is_ip(host) else x509.DNSName(host) for host in hosts]
    certificate = (
        _builder(x509.Name([]), root.subject, key.public_key(), now, CREDENTIAL_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    files = {"tls.key": _key_pem(key), "tls.crt": _pem(certificate), "ca.crt": _pem(root)}
    _switch(place, f"{certificate.serial_number:x}", files)


def _forget(place: Path) -> None:
    """
    Remove all but the newest versions; a reader may still use the previous one.
    """
    versions = sorted(
        (path for path in place.iterdir() if path.is_dir() and not path.is_symlink()),
        key=lambda path: path.stat().st_mtime_ns,
    )
    for old in versions[:-KEPT_VERSIONS]:
        for path in old.iterdir():
            path.unlink()
        old.rmdir()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def utc_now() -> datetime:
    """
    Return the current time; tests replace it.
    """
    return datetime.now(UTC)
