"""
The REST API as OpenAPI 3.1, generated from the contract and from what the edge adds to it.

Source: https://spec.openapis.org/oas/v3.1.1
"""

from __future__ import annotations

import re
from typing import Any

from buf.validate import validate_pb2
from google.api import resource_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway import failures
from gateway.edge import comments, schemas
from gateway.edge.contract import Binding, Contract, is_required

JSON = "application/json"
EVENTS = "text/event-stream"
# A method's comment names the success status if it is not 200: `(REST: 201)`.
_SUCCESS = re.compile(r"\(REST: (\d{3})\)")
_ABOUT = """
Orders and products of the shop.

Every error has the form of `google.rpc.Status`: a code, a message for people, and details, of which
`google.rpc.ErrorInfo` has a reason for programs. If a retry helps, `Retry-After` says when. 64-bit integers are
strings.
"""
_ERRORS = {
    400: "The request is invalid, or the state of the system does not allow it.",
    409: "A concurrent call won: retry; or the etag is outdated: read the resource again first.",
    412: "The ETag in If-Match is outdated; read the resource again first.",
} | {failure.http: failure.message for failure in failures.FAILURES if failure.http not in (400, 426, 499)}
_ONE_TAG = r'^(\*|(W/)?"[!#-~]{0,62}")$'
_OUTCOMES = {"200": "The response.", "201": "Done.", "202": "Accepted: stored durably, and completed later."}
_HEADERS: dict[str, dict[str, Any]] = {
    "Location": {"description": "The path of the resource.", "schema": {"type": "string"}},
    "ETag": {"description": "Changes whenever the resource does.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Allow": {"description": "The methods that are supported.", "schema": {"type": "string"}},
    "X-Request-Id": {"description": "Identifies this request in the logs.", "schema": {"type": "string"}},
    "Traceparent": {"description": "W3C trace context of this request.", "schema": {"type": "string"}},
}
_FIELDS = {
    "name": "fields",
    "in": "query",
    "required": False,
    "description": "Only these fields of the response, comma-separated; a dot selects a nested field: `lines.product`.",
    "schema": {"type": "string", "pattern": r"^[A-Za-z]\w*(\.\w+)*(,[A-Za-z]\w*(\.\w+)*)*$"},
}
_ALWAYS = ("X-Request-Id", "Traceparent")


class Document:
    """Builds the document, collecting the referenced schemas on the way."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._comments = comments.of_files(contract.files)
        self._schemas = schemas.Schemas(self._comments)

    def build(self) -> dict[str, Any]:
        """
        Return the whole document.
        """
        paths: dict[str, dict[str, Any]] = {}
        for binding in sorted(self._contract.bindings, key=lambda each: (each.path, each.verb)):
            paths.setdefault(self._path(binding), {})[binding.verb.lower()] = self._operation(binding)
        status = self._schemas.reference(self._contract.message("google.rpc.Status"))
        return {
            "openapi": "3.1.1",
            "info": {"title": "Shop", "version": "1", "description": _ABOUT},
            "servers": [{"url": "/"}],
            # Products are readable without a token.
            "security": [{}, {"token": []}],
            "tags": self._tags(),
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._schemas.components.items())),
                "responses": {str(code): _error(code, text, status) for code, text in sorted(_ERRORS.items())},
                "headers": _HEADERS,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }

    def _tags(self) -> list[dict[str, str]]:
        return [
            {"name": name.rpartition(".")[2], "description": self._comments[name]} for name in self._contract.services
        ]

    def _operation(self, binding: Binding) -> dict[str, Any]:
        method = binding.method
        summary, _, description = self._comments[method.full_name].partition("\n\n")
        operation: dict[str, Any] = {
            "operationId": method.name,
            "tags": [method.containing_service.name],
            "summary": summary,
            **({"description": description} if description else {}),
            "parameters": self._parameters(binding),
        }
        if binding.has_body:
            operation["requestBody"] = self._body(binding)
        errors = {str(code): {"$ref": f"#/components/responses/{code}"} for code in sorted(_ERRORS)}
        return operation | {"responses": self._successes(binding) | errors}

    def _path(self, binding: Binding) -> str:
        """
        Return the path with a parameter for each wildcard, named as in the resource's pattern.
        """
        names = iter([name for name, _ in self._path_parameters(binding)])
        return re.sub(r"\*+", lambda _: f"{{{next(names)}}}", binding.path)

    def _path_parameters(self, binding: Binding) -> list[tuple[str, FieldDescriptor]]:
        found = []
        for name in binding.path_fields:
            field = binding.method.input_type.fields_by_name[name]
            pattern = self._patterns().get(_resource_type(field), f"{{{name}}}")
            found += [(part, field) for part in re.findall(r"{(\w+)}", pattern)]
        return found

    def _patterns(self) -> dict[str, str]:
        """
        Return the pattern of each resource type, such as `orders/{order}`.
        """
        messages = [
            self._contract.pool.FindFileByName(file.name).message_types_by_name.values()
            for file in self._contract.files.file
        ]
        resources = [each.GetOptions().Extensions[resource_pb2.resource] for group in messages for each in group]
        return {each.type: each.pattern[0] for each in resources if each.type}

    def _parameters(self, binding: Binding) -> list[dict[str, Any]]:
        path = [_path_parameter(name, field) for name, field in self._path_parameters(binding)]
        query = [self._query_parameter(field) for field in binding.query_fields if field.name != "request_id"]
        return [*path, *query, _FIELDS, *_header_parameters(binding)]

    def _query_parameter(self, field: FieldDescriptor) -> dict[str, Any]:
        schema = self._schemas.field(field)
        parameter = {"name": field.json_name, "in": "query", "required": is_required(field)}
        return parameter | {"description": schema.pop("description", ""), "schema": schema}

    def _body(self, binding: Binding) -> dict[str, Any]:
        request = binding.method.input_type
        if binding.body == "*":
            schema = self._schemas.object(request, without={*binding.path_fields, "request_id"})
            schema.pop("description", None)
        else:
            schema = self._schemas.field(request.fields_by_name[binding.body])
        return {"required": bool(schema.get("required") or "$ref" in schema), "content": {JSON: {"schema": schema}}}

    def _successes(self, binding: Binding) -> dict[str, Any]:
        method = binding.method
        answer = self._schemas.reference(method.output_type)
        content: dict[str, Any] = {JSON: {"schema": answer}}
        if method.server_streaming:
            each = {"type": "string", "contentMediaType": JSON, "contentSchema": answer}
            content = {
                EVENTS: {
                    "schema": each | {"description": "Server-Sent Events; the data of each event has this schema."}
                }
            }
        codes = _SUCCESS.findall(self._comments[method.full_name]) or ["200"]
        tagged = _is_tagged(binding)
        found = {code: _success(code, content, tagged=tagged) for code in codes}
        return found | ({"304": _unchanged()} if tagged else {})


def document(contract: Contract) -> dict[str, Any]:
    """
    Return the OpenAPI document of *contract*.
    """
    return Document(contract).build()


def _resource_type(field: FieldDescriptor) -> str:
    return str(field.GetOptions().Extensions[resource_pb2.resource_reference].type)


def _is_tagged(binding: Binding) -> bool:
    fields = binding.method.output_type.fields_by_name
    return binding.verb == "GET" and "etag" in fields and not binding.method.server_streaming


def _path_parameter(name: str, field: FieldDescriptor) -> dict[str, Any]:
    """
    Return one segment of a resource's name; the validation rule of the whole name contains that of its last segment.
    """
    schema: dict[str, Any] = {"type": "string", "pattern": "^[^/]+$"}
    whole = field.GetOptions().Extensions[validate_pb2.field].string.pattern
    if whole:
        schema["pattern"] = "^" + whole.removeprefix("^").partition("/")[2]
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameters(binding: Binding) -> list[dict[str, Any]]:
    found = []
    request_id = binding.method.input_type.fields_by_name.get("request_id")
    if request_id is not None:
        pattern = request_id.GetOptions().Extensions[validate_pb2.field].string.pattern
        text = "Identifies the caller's intent: requests with the same key are the same call. Preferably a UUID."
        found.append(_header("Idempotency-Key", text, {"type": "string", "pattern": pattern}, is_required(request_id)))
    if _is_tagged(binding):
        found.append(
            _header("If-None-Match", "Respond with 304 if the resource still has this ETag.", {"type": "string"})
        )
    if "etag" in binding.method.input_type.fields_by_name:
        text = "Change the resource only if it still has this ETag; the same as `etag` in the body."
        found.append(_header("If-Match", text, {"type": "string", "pattern": _ONE_TAG}))
    if binding.method.server_streaming:
        text = "The id of the last event received; the stream continues after it."
        found.append(_header("Last-Event-ID", text, {"type": "string", "pattern": "^[0-9]{1,15}$"}))
    return found


def _header(name: str, text: str, schema: dict[str, Any], required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": schema}


def _success(code: str, content: dict[str, Any], *, tagged: bool) -> dict[str, Any]:
    more = [*_ALWAYS, *(["Location"] if code in ("201", "202") else []), *(["ETag"] if tagged else [])]
    return {"description": _OUTCOMES[code], "headers": _headers(*more), "content": content}


def _unchanged() -> dict[str, Any]:
    return {"description": "The resource still has the ETag of If-None-Match.", "headers": _headers(*_ALWAYS, "ETag")}


def _error(code: int, text: str, status: dict[str, Any]) -> dict[str, Any]:
    failure = failures.BY_HTTP.get(code)
    waits = failure is not None and failure.retry_after_s is not None
    more = [*_ALWAYS, *(["Retry-After"] if waits else []), *(["Allow"] if code == 405 else [])]
    return {"description": text, "headers": _headers(*more), "content": {JSON: {"schema": status}}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
