"""
Secrets over SDS: names as in Istio, each served from a file of its own with the paths of the keys.
"""

from dataclasses import dataclass
from pathlib import Path

from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from translator.config.names import file_name

IDENTITY, ROOT = "default", "ROOTCA"
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
CREDENTIAL, CREDENTIAL_AUTHORITY_SUFFIX, FILE_PAIR, FILE_AUTHORITY = (
    "kubernetes://",
    "-cacert",
    "file-cert:",
    "file-root:",
)
API = config_source_pb2.ApiVersion.V3


@dataclass(frozen=True)
class Layout:
    """
    The locations of a workload's files: its xDS folder, its identity's folder, and the credentials of gateways.
    """

    folder: Path
    identity: Path
    credentials: Path

    def source(self, kind: str, name: str) -> config_source_pb2.ConfigSource:
        """
        Return a subscription to the file of one resource.
        """
        path = self.folder / kind / f"{file_name(name)}.json"
        return config_source_pb2.ConfigSource(
            path_config_source=config_source_pb2.PathConfigSource(path=str(path)), resource_api_version=API
        )


def credential_name(name: str) -> str:
    """
    Return the certificate and key of a Kubernetes secret.
    """
    return f"{CREDENTIAL}{name}"


def credential_authority_name(name: str) -> str:
    """
    Return the authority of a Kubernetes secret.
    """
    return f"{CREDENTIAL}{name}{CREDENTIAL_AUTHORITY_SUFFIX}"


def pair_name(certificate: str, key: str) -> str:
    """
    Return a certificate and its key in files.
    """
    return f"{FILE_PAIR}{certificate}~{key}"


def authority_name(path: str) -> str:
    """
    Return the name of the CA certificates in a file; without one, the system's.
    """
    return f"{FILE_AUTHORITY}{path or SYSTEM_AUTHORITIES}"


class Secrets:
    """
    The secrets that one proxy's configuration uses, collected while it is built.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.used: set[str] = set()

    def use(self, name: str) -> secret_pb2.SdsSecretConfig:
        """
        Return a subscription to a secret.
        """
        self.used.add(name)
        return secret_pb2.SdsSecretConfig(name=name, sds_config=self.layout.source("sds", name))

    def resources(self) -> list[secret_pb2.Secret]:
        """
        Return every secret used, sorted by name.
        """
        return [secret(name, self.layout) for name in sorted(self.used)]


def secret(name: str, layout: Layout) -> secret_pb2.Secret:
    """
    Return the secret with the paths of its keys.
    """
    if name == IDENTITY:
        return _pair(
            name,
            layout.identity / "current" / "chain.pem",
            layout.identity / "current" / "key.pem",
            watch=layout.identity,
        )
    if name == ROOT:
        return _authority(name, layout.identity / "current" / "ca.pem", watch=layout.identity)
    if name.startswith(FILE_PAIR):
        certificate, _, key = name.removeprefix(FILE_PAIR).partition("~")
        return _pair(name, Path(certificate), Path(key))
    if name.startswith(FILE_AUTHORITY):
        return _authority(name, Path(name.removeprefix(FILE_AUTHORITY)))
    credential = name.removeprefix(CREDENTIAL)
    if credential.endswith(CREDENTIAL_AUTHORITY_SUFFIX):
        folder = layout.credentials / credential.removesuffix(CREDENTIAL_AUTHORITY_SUFFIX)
        return _authority(name, folder / "current" / "ca.crt", watch=folder)
    folder = layout.credentials / credential
    return _pair(name, folder / "current" / "tls.crt", folder / "current" / "tls.key", watch=folder)


def _pair(name: str, certificate: Path, key: Path, watch: Path | None = None) -> secret_pb2.Secret:
    result = secret_pb2.Secret(name=name)
    result.tls_certificate.certificate_chain.filename = str(certificate)
    result.tls_certificate.private_key.filename = str(key)
    if watch:
        result.tls_certificate.watched_directory.CopyFrom(base_pb2.WatchedDirectory(path=str(watch)))
    return result


def _authority(name: str, path: Path, watch: Path | None = None) -> secret_pb2.Secret:
    result = secret_pb2.Secret(name=name)
    result.validation_context.trusted_ca.filename = str(path)
    if watch:
        result.validation_context.watched_directory.CopyFrom(base_pb2.WatchedDirectory(path=str(watch)))
    return result
