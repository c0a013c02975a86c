"""The web application: pages, and the board's data for operators."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol

import grpc
import structlog
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.pages import files
from gateway.pages.board import Board
from runtime.caller import OPERATOR, is_operator
from runtime.errors import Error, PermissionDenied
from runtime.status import code_of, to_status

DOMAIN = "pages.shop.example.com"
HTTP = {
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
log = structlog.get_logger()
Endpoint = Callable[[Request], Awaitable[Response]]


class OperatorsOnly(PermissionDenied):
    """The caller is no operator of the shop, as far as the edge knows."""

    reason = "OPERATOR_ONLY"


class OtherSite(PermissionDenied):
    """A page of another site asks a browser to change something here."""

    reason = "OTHER_SITE"


class Lifting(Protocol):
    """Where faults are taken out of force."""

    async def lift(self, name: str) -> None:
        """Lift the faults of a VirtualService."""


def application(pages: Mapping[str, files.File], board: Board, faults: Lifting, *, operators_only: bool) -> Starlette:
    """
    Return the application; the edge has set `x-operator` from the verified token, or has taken it away.
    """

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                _check(request, operators_only=operators_only)
                return await endpoint(request)
            except Error as error:
                return _refusal(error)

        return answer

    async def page(request: Request) -> Response:
        return files.answer(pages, request)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def read_board(_: Request) -> Response:
        return JSONResponse(await board.read(), headers=_NOT_KEPT)

    async def lift(request: Request) -> Response:
        name = request.path_params["name"]
        await faults.lift(name)
        log.warning("an operator lifted a fault", virtual_service=name)
        return JSONResponse({}, headers=_NOT_KEPT)

    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET"]),
            Route("/ops/api/board", guarded(read_board), methods=["GET"]),
            Route("/ops/api/faults/{name}:lift", guarded(lift), methods=["POST"]),
            Route("/{path:path}", page, methods=["GET"]),
        ]
    )


_NOT_KEPT = {**files.SECURITY, "cache-control": "no-store"}


def _check(request: Request, *, operators_only: bool) -> None:
    if operators_only and not is_operator(request.headers.get(OPERATOR)):
        raise OperatorsOnly("this is for operators of the shop; send an operator's token")
    if request.method != "GET" and request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise OtherSite("this can be asked for from the board itself only")


def _refusal(error: Error) -> Response:
    """Our error in the same form as every error of the API."""
    status = MessageToDict(to_status(error, DOMAIN))
    http = HTTP.get(code_of(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    return Response(json.dumps(status), http, headers=_NOT_KEPT, media_type="application/json")
