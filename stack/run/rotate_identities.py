"""
Rotates the issuer's signing key and the certificates of the workloads and the edge.
"""

import http.client
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from gateway.issuer import signing
from gateway.issuer.settings import IssuerSettings
from stack.run import health
from stack.run.rotation import Rotation, RotationFailed, wait_until_none
from stack.settings import Settings
from stack.topology import workloads
from stack.topology.addresses import Endpoint
from translator.config.request_authentication import JWKS_CACHE_S
from translator.model.registry_file import load_registry

COMMAND_S = 60.0
TLS_S = 3.0
CREDENTIAL = "edge-certificate"


def signing_key(rotation: Rotation) -> None:
    """
    Publish another key, let it sign once the edge accepts it, and keep the one before until its tokens have expired.
    """
    settings = rotation.plan.settings
    folder = Path(workloads.issuer_environment(settings)["ISSUER_STATE"])
    if signing.retire_previous(folder, now=datetime.now(UTC)):
        rotation.progress.say("signing-key: the key of the last rotation is withdrawn before its tokens have expired")
    signer = signing.signer_in(folder, str(IssuerSettings.model_fields["url"].default))
    following = signing.Signer(signing.next_key(folder), signer.issuer)
    rotation.progress.say(f"signing-key: {following.public['kid']} is published beside {signer.public['kid']}")
    # Envoy fetches the keys again after this long at the latest.
    wait_until_none(lambda: _refused(settings, following), "signing-key", within_s=JWKS_CACHE_S + 30)
    rotation.progress.say("signing-key: the edge accepts the new key")
    old = signing.Signer(signer.signing(), signer.issuer)
    signing.sign_with_next(folder)
    wait_until_none(lambda: _refused(settings, signer) + _refused(settings, old), "signing-key")
    rotation.progress.say("signing-key: the new key signs; tokens of the old one are still accepted")


def _refused(settings: Settings, signer: signing.Signer) -> list[str]:
    """Return the edge, unless it takes a token of *signer*."""
    token = signer.token("rotation", now=datetime.now(UTC), lifetime=timedelta(minutes=1))
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=TLS_S)
    try:
        connection.request("GET", "/v1/orders?page_size=1", headers={"authorization": f"Bearer {token}"})
        return [] if connection.getresponse().status == http.client.OK else ["the edge"]
    except (OSError, http.client.HTTPException):
        return ["the edge"]
    finally:
        connection.close()


def workload_certificates(rotation: Rotation) -> None:
    """
    Issue a new certificate for every service account, and check which one each Envoy has.
    """
    settings = rotation.plan.settings
    _issue(settings, "--renew")
    registry = load_registry(settings.conf / "registry.yaml")
    folder = settings.secrets / "certificates" / "ns"
    renewed = {
        each.name: (
            _serial(folder / each.namespace / "sa" / each.service_account / "current" / "chain.pem"),
            each.admin,
        )
        for each in registry.workloads
    }
    admins = {name: str(admin) for name, (_, admin) in renewed.items()}
    wait_until_none(
        lambda: [name for name, (serial, _) in renewed.items() if serial not in _loaded(admins[name])],
        "workload-certificates",
    )
    rotation.progress.say(f"workload-certificates: used by the Envoys of {', '.join(sorted(renewed))}")


def _loaded(admin: str) -> str:
    host, _, port = admin.rpartition(":")
    return health.get(Endpoint(host, int(port)), "/certs", max_bytes=1024 * 1024)[1].decode()


def edge_certificate(rotation: Rotation) -> None:
    """
    Issue a new certificate for the edge, and check which one new connections get.
    """
    settings = rotation.plan.settings
    _issue(settings, "--renew-credentials")
    serial = _serial(settings.secrets / "certificates" / "credentials" / CREDENTIAL / "current" / "tls.crt")
    wait_until_none(lambda: [] if _shown(settings) == serial else ["the edge"], "edge-certificate")
    rotation.progress.say(f"edge-certificate: new connections get {serial}")


def _shown(settings: Settings) -> str:
    """Return the serial number of the certificate that a client is shown, empty if there is none."""
    trusted = ssl.create_default_context(cafile=str(settings.authority))
    try:
        with (
            socket.create_connection(("127.0.0.1", settings.tls_port), timeout=TLS_S) as connection,
            trusted.wrap_socket(connection, server_hostname="localhost") as secured,
        ):
            return f"{x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b'').serial_number:x}"
    except OSError:
        return ""


def _issue(settings: Settings, option: str) -> None:
    done = subprocess.run(
        [*workloads.certificates(settings), option], capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    if done.returncode != 0:
        raise RotationFailed(f"no certificates were issued: {done.stderr.strip()}")


def _serial(file: Path) -> str:
    return f"{x509.load_pem_x509_certificate(file.read_bytes()).serial_number:x}"


KINDS: dict[str, Callable[[Rotation], None]] = {
    "signing-key": signing_key,
    "workload-certificates": workload_certificates,
    "edge-certificate": edge_certificate,
}
