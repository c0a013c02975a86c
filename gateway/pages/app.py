"""The web application: the pages, and the board's data for operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway import failures
from gateway.pages import files
from gateway.pages.board import Board
from gateway.pages.catalogue import Catalogue
from gateway.pages.history import History
from gateway.pages.sign_in import Issuer
from runtime.caller import OPERATOR, is_operator
from runtime.errors import Error, PermissionDenied
from runtime.status import code_of, to_status

DOMAIN = "pages.shop.example.com"
HTTP = {
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
log = structlog.get_logger()


class OperatorsOnly(PermissionDenied):
    """The edge has not authenticated the caller as an operator."""

    reason = "OPERATOR_ONLY"


class OtherSite(PermissionDenied):
    """A page of another site tries to change something here through the user's browser."""

    reason = "OTHER_SITE"


@dataclass(frozen=True)
class Help:
    """
    Links on the board: the runbook of each alert, and the browser URLs of Prometheus and the trace viewer.

    A URL is empty if there is none; a trace's id is appended to *traces*, a query to *graph*. *figures*
    are the queries behind the board's numbers.
    """

    runbooks: Mapping[str, str]
    prometheus: str = ""
    traces: str = ""
    graph: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)


NO_HELP = Help({})


class Lifting(Protocol):
    """Where faults are lifted."""

    async def lift(self, name: str) -> None:
        """Lift the faults of a VirtualService."""


def application(
    pages: files.Pages,
    board: Board,
    history: History,
    faults: Lifting,
    catalogue: Catalogue,
    *,
    operators_only: bool,
    issuer: Issuer | None = None,
    help_texts: Help = NO_HELP,
) -> Starlette:
    """
    Return the application; the edge sets `x-operator` from the verified token, or removes it.
    """
    not_kept = {**pages.headers, "cache-control": "no-store"}

    async def page(request: Request) -> Response:
        return pages.answer(request) or _nothing(request, pages)

    async def sign_in(_: Request) -> Response:
        return JSONResponse(issuer.public if issuer else {}, headers={**pages.headers, "cache-control": "no-cache"})

    async def products(_: Request) -> Response:
        return JSONResponse(catalogue.last(), headers=not_kept)

    async def read_board(request: Request) -> Response:
        _check(request, operators_only=operators_only)
        return JSONResponse(await board.read(), headers=not_kept)

    async def read_history(request: Request) -> Response:
        _check(request, operators_only=operators_only)
        query = request.query_params
        found = await history.read(query.get("period", "1h"), query.get("from", ""), query.get("to", ""))
        return JSONResponse(found, headers=not_kept)

    async def read_help(request: Request) -> Response:
        _check(request, operators_only=operators_only)
        return JSONResponse(dataclasses.asdict(help_texts), headers=not_kept)

    async def lift(request: Request) -> Response:
        _check(request, operators_only=operators_only)
        name = request.path_params["name"]
        await faults.lift(name)
        log.warning("fault_lifted_by_operator", virtual_service=name)
        return JSONResponse({}, headers=not_kept)

    return Starlette(
        routes=[
            Route("/healthz", _health, methods=["GET"]),
            Route("/sign-in.json", sign_in, methods=["GET"]),
            Route("/catalogue.json", products, methods=["GET"]),
            Route("/ops/api/board", read_board, methods=["GET"]),
            Route("/ops/api/history", read_history, methods=["GET"]),
            Route("/ops/api/help", read_help, methods=["GET"]),
            Route("/ops/api/faults/{name}:lift", lift, methods=["POST"]),
            Route("/{path:path}", page, methods=["GET"]),
        ],
        exception_handlers=_refusals(not_kept),
    )


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def _refusals(headers: Mapping[str, str]) -> Mapping[Any, Callable[[Request, Any], Response]]:
    """Return the error handlers, which respond in the format of every error of the API."""

    def refused(_: Request, error: Any) -> Response:
        status = MessageToDict(to_status(error, DOMAIN))
        http = HTTP.get(code_of(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        return JSONResponse(status, http, headers=dict(headers))

    def unsupported(_: Request, error: Any) -> Response:
        return _failure(HTTPStatus.METHOD_NOT_ALLOWED, {**headers, **(error.headers or {})})

    return {Error: refused, HTTPStatus.METHOD_NOT_ALLOWED: unsupported}


def _nothing(request: Request, pages: files.Pages) -> Response:
    """Return 404: a page for browsers, the API's error format for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return pages.nothing_here()
    return _failure(HTTPStatus.NOT_FOUND, {**pages.headers, "cache-control": "no-store"})


def _failure(http: HTTPStatus, headers: Mapping[str, str]) -> Response:
    return JSONResponse(failures.BY_HTTP[http].status(), http, headers=dict(headers))


def _check(request: Request, *, operators_only: bool) -> None:
    if operators_only and not is_operator(request.headers.get(OPERATOR)):
        raise OperatorsOnly("this is for operators of the shop; send an operator's token")
    reads = request.method in ("GET", "HEAD")
    if not reads and request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise OtherSite("this can only be called from the board itself")
