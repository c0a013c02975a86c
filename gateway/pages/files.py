"""The built pages, read once: small enough to keep, and a request never touches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
PAGES = {"/": "/index.html", "/ops": "/ops.html", "/docs": "/docs.html"}
OPENAPI = "/openapi.json"
HASHED = "/assets/"
FOREVER = "public, max-age=31536000, immutable"
LOOK_AGAIN = "no-cache"
SIZE_LIMIT = 1024 * 1024

# Only what comes from here, nothing written into the page, and no other host at all.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
SECURITY = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class NoPages(Exception):
    """The folder holds no built pages; the message says how to build them."""


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    body: bytes
    kind: str
    caching: str

    @property
    def etag(self) -> str:
        """Changes with the content."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


def load(folder: Path, openapi: Path) -> dict[str, File]:
    """
    Return the files by the path they are served at; `NoPages` if there are none, or no *openapi* document.
    """
    files = {f"/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*")) if _is_served(path)}
    if not set(PAGES.values()) <= files.keys():
        raise NoPages(f"{folder} has no {' and no '.join(PAGES.values())}; `python -m gateway.pages.build` makes them")
    served = {at: _file(at, path) for at, path in files.items()}
    for at, page in PAGES.items():
        served[at] = served.pop(page)
    if not openapi.is_file():
        raise NoPages(f"{openapi} is not there; `python -m gateway` makes it")
    return served | {OPENAPI: _file(OPENAPI, openapi)}


def _is_served(path: Path) -> bool:
    return path.is_file() and path.suffix in TYPES and not path.name.startswith(".")


def _file(at: str, path: Path) -> File:
    body = path.read_bytes()
    if len(body) > SIZE_LIMIT:
        raise NoPages(f"{path} is larger than {SIZE_LIMIT} bytes")
    return File(body, TYPES[path.suffix], FOREVER if at.startswith(HASHED) else LOOK_AGAIN)


def answer(files: Mapping[str, File], request: Request) -> Response:
    """
    Return the file at the request's path, 304 if the client has it, or 404.
    """
    file = files.get(request.url.path.rstrip("/") or "/")
    if file is None:
        return Response("not found\n", status_code=404, headers=SECURITY, media_type="text/plain")
    headers = {**SECURITY, "cache-control": file.caching, "etag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers={**headers, "content-type": file.kind})
