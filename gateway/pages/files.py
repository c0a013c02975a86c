"""The built pages, read once into memory, so that a request never reads from disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
PAGES = {"/": "/index.html", "/ops": "/ops.html", "/docs": "/docs.html", "/signed-in": "/signed-in.html"}
NOT_FOUND = "/not-found.html"
OPENAPI = "/openapi.json"
HASHED = "/assets/"
FOREVER = "public, max-age=31536000, immutable"
LOOK_AGAIN = "no-cache"
MAX_BYTES = 1024 * 1024


def security(connect: Iterable[str] = ()) -> dict[str, str]:
    """
    Return the security headers of every response: only resources from here, no inline code, and no other hosts but the
    origins in *connect*, which scripts may call.
    """
    policy = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        " ".join(["connect-src 'self'", *connect]),
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return {
        "content-security-policy": "; ".join(policy),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


class NoPages(Exception):
    """The folder has no built pages; the message says how to build them."""


@dataclass(frozen=True)
class File:
    """A file ready to be sent."""

    body: bytes
    kind: str
    caching: str

    @property
    def etag(self) -> str:
        """Return the ETag, which changes with the content."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


@dataclass(frozen=True)
class Pages:
    """The files by their path, the page for unknown paths, and the headers of all."""

    files: Mapping[str, File]
    not_found: File
    headers: Mapping[str, str]

    def answer(self, request: Request) -> Response | None:
        """
        Return the file at the request's path, 304 if the client has it, or None if there is none.
        """
        file = self.files.get(request.url.path.rstrip("/") or "/")
        if file is None:
            return None
        headers = {**self.headers, "cache-control": file.caching, "etag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers={**headers, "content-type": file.kind})

    def nothing_here(self) -> Response:
        """
        Return the page for unknown paths.
        """
        headers = {**self.headers, "cache-control": "no-store", "content-type": self.not_found.kind}
        return Response(self.not_found.body, 404, headers=headers)


def load(folder: Path, openapi: Path, connect: Iterable[str] = ()) -> Pages:
    """
    Return the pages, whose scripts may also call the origins in *connect*; raises `NoPages` without pages or *openapi*
    document.
    """
    files = {f"/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*")) if _is_served(path)}
    needed = [*PAGES.values(), NOT_FOUND]
    if not set(needed) <= files.keys():
        raise NoPages(f"{folder} has no {' and no '.join(needed)}; `python -m gateway.pages.build` builds them")
    served = {at: _file(at, path) for at, path in files.items()}
    for at, page in PAGES.items():
        served[at] = served.pop(page)
    if not openapi.is_file():
        raise NoPages(f"{openapi} does not exist; `python -m gateway.edge` generates it")
    served[OPENAPI] = _file(OPENAPI, openapi)
    return Pages(served, served.pop(NOT_FOUND), security(connect))


def _is_served(path: Path) -> bool:
    return path.is_file() and path.suffix in TYPES and not path.name.startswith(".")


def _file(at: str, path: Path) -> File:
    body = path.read_bytes()
    if len(body) > MAX_BYTES:
        raise NoPages(f"{path} is larger than {MAX_BYTES} bytes")
    return File(body, TYPES[path.suffix], FOREVER if at.startswith(HASHED) else LOOK_AGAIN)
