"""A Kafka and a Redis that take TLS only, know their callers, and let each do what `stores/access.yaml` says."""

import base64
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import jwt
import yaml
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.asymmetric import rsa

from stores import files
from tests.support.kafka_server import HOST, KafkaServer, installed_libs
from tests.support.processes import Process, free_port, own_host, wait_for

ACCESS = yaml.safe_load((files.FOLDER / "access.yaml").read_text())
REDIS_HOST = own_host(12)
LOGIN = "org.apache.kafka.common.security"
# Sessions end after this time unless the client logs in again, so that a password that was taken away is noticed.
SESSION_MS = 3000


class SecuredKafka:
    """
    A broker with a listener for TLS with SCRAM and OAUTHBEARER; `admin` is the way of its administrators.

    *keys* is the file with the public keys of those who sign tokens.
    """

    def __init__(self, folder, authority, keys):
        self._port = free_port(HOST)
        self.brokers = f"{HOST}:{self._port}"
        certificate, key = authority.issue("kafka", HOST)
        store = folder / "kafka.pem"
        store.write_bytes(key.read_bytes() + certificate.read_bytes())
        self._store, self._keys = store, keys
        options = [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.as_uri()}"]
        self.process = KafkaServer(folder, installed_libs(), more=self._settings, options=options)

    def _settings(self, listen, controller):
        named = "listener.name.secured"
        return f"""
listeners=PLAINTEXT://{listen},CONTROLLER://{controller},SECURED://{self.brokers}
advertised.listeners=PLAINTEXT://{listen},SECURED://{self.brokers}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL
{named}.ssl.keystore.type=PEM
{named}.ssl.keystore.location={self._store}
{named}.sasl.enabled.mechanisms=SCRAM-SHA-512,OAUTHBEARER
{named}.connections.max.reauth.ms={SESSION_MS}
{named}.scram-sha-512.sasl.jaas.config={LOGIN}.scram.ScramLoginModule required;
{named}.oauthbearer.sasl.jaas.config={LOGIN}.oauthbearer.OAuthBearerLoginModule required;
{named}.oauthbearer.sasl.server.callback.handler.class={LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler
{named}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={self._keys.as_uri()}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""

    def start(self):
        self.process.start()
        self.admin = AdminClient({"bootstrap.servers": self.process.brokers, "log_level": 0})
        for service in ACCESS["kafka"]:
            for future in self.admin.create_acls(acls(service)).values():
                future.result(20)
        return self

    def set_password(self, user, password):
        """Give *user* a password, or take it away if it is None."""
        mechanism = ScramMechanism.SCRAM_SHA_512
        change = (
            UserScramCredentialDeletion(user, mechanism)
            if password is None
            else UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password.encode())
        )
        for future in self.admin.alter_user_scram_credentials([change]).values():
            future.result(20)


def acls(service):
    """Return the rights of *service*, as Kafka has them."""
    rights = ACCESS["kafka"][service]
    kinds = {"topics": ResourceType.TOPIC, "groups": ResourceType.GROUP}
    return [
        AclBinding(
            kind,
            name.removesuffix("*"),
            ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL,
            f"User:{service}",
            "*",
            getattr(AclOperation, _constant(operation)),
            AclPermissionType.ALLOW,
        )
        for group, kind in kinds.items()
        for name, operations in rights[group].items()
        for operation in operations
    ]


def _constant(operation):
    """AlterConfigs is ALTER_CONFIGS."""
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in operation).lstrip("_").upper()


class SecuredRedis(Process):
    """A Redis with TLS, whose user `inventory` has the rights of `stores/access.yaml`."""

    def __init__(self, folder, authority, password):
        certificate, key = authority.issue("redis", REDIS_HOST)
        self._port = free_port(REDIS_HOST)
        self._authority = authority
        configuration = folder / "redis.conf"
        own = [
            f"bind {REDIS_HOST}",
            "port 0",
            f"tls-port {self._port}",
            f"tls-cert-file {certificate}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {authority.ca}",
            "tls-auth-clients no",
            f"dir {folder}",
            f"user inventory on >{password} {ACCESS['redis']['inventory']}",
            "user default off",
        ]
        configuration.write_text(files.redis() + "\n".join(own) + "\n")
        super().__init__(["redis-server", configuration], folder / "redis.log")

    def start(self):
        super().start()
        wait_for(self._answers, 10, "Redis")
        return self

    def _answers(self):
        assert self.alive, self.log()
        with socket.socket() as connection:
            return connection.connect_ex((REDIS_HOST, self._port)) == 0

    def url(self, user="inventory", *, ca=None):
        return f"rediss://{user}@{REDIS_HOST}:{self._port}/0?ssl_ca_certs={ca or self._authority.ca}"


class Tokens:
    """An OpenID Connect token endpoint for client credentials; `keys` is the file with its public keys."""

    CLIENT_SECRET = "not-guessed"

    def __init__(self, folder):
        self._key = rsa.generate_private_key(65537, 2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        self.keys = folder / "jwks.json"
        self.keys.write_text(json.dumps({"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]}))
        self._server = HTTPServer((HOST, 0), self._handler())
        self.url = f"http://{HOST}:{self._server.server_port}/token"
        self.given = 0
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _token(self, client):
        now = int(time.time())
        claims = {"sub": client, "iss": "tests", "iat": now, "exp": now + 60, "scope": "kafka"}
        return jwt.encode(claims, self._key, "RS256", {"kid": "1"})

    def _handler(outer):  # noqa: N805 (the handler's own `self` is another)
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                assert form["grant_type"] == ["client_credentials"]
                client, secret = basic(self.headers["authorization"])
                known = secret == outer.CLIENT_SECRET
                outer.given += known
                answer = {"access_token": outer._token(client), "token_type": "Bearer", "expires_in": 60}
                self.send_response(200 if known else 401)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer if known else {"error": "invalid_client"}).encode())

            def log_message(self, *_):
                pass

        return Handler

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def basic(header):
    """Return the name and the password of an Authorization header."""
    name, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return name, password
