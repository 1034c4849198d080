"""OpenAPI document of the class server's HTTP interface, served at ``/api/openapi.json``."""

from __future__ import annotations

from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.privacy.aggregates import K
from mien.privacy.lesson_bins import MAX_BIN_S, MAX_BINS, MAX_K, MIN_BIN_S, SIGNALS
from mien.version import VERSION
from mien.web.classroom.messages import INTERVAL_S, MAX_NUMBER
from mien.web.classroom.store import MAX_TEXT, MAX_TITLE
from mien.web.classroom.timeline import MAX_MEAN

_TEXT: Final = {"type": "string"}
_SECONDS: Final = {"type": "number", "minimum": 0, "maximum": INTERVAL_S + 2}
_PLAN: Final = {
    "bin_s": {"type": "integer", "minimum": MIN_BIN_S, "maximum": MAX_BIN_S},
    "bins": {"type": "integer", "minimum": 1, "maximum": MAX_BINS},
}
_NEW_CLASS: Final = {
    "title": {"type": "string", "minLength": 1, "maxLength": MAX_TITLE},
    **_PLAN,
    "k": {"type": "integer", "minimum": K, "maximum": MAX_K},
    "expressions": {"type": "boolean"},
}
_MESSAGE: Final = {
    "number": {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER},
    "measured_s": _SECONDS,
    "facing_s": _SECONDS,
    "expression_s": {"type": "object", "properties": dict.fromkeys(EMOTIONS, _SECONDS), "additionalProperties": False},
    "signal": {"enum": list(SIGNALS)},
}
_MARK: Final = {
    "kind": {"enum": ["mark", "note"]},
    "text": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    "at_s": {"type": "number", "minimum": 0},
}
_ERRORS: Final = (400, 401, 403, 404, 405, 409, 410, 413, 422, 425, 429, 503)
_Operation = dict[str, Any]


def _object(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _operation(summary: str, status: int, token: str, body: dict[str, Any] | None = None, query: str = "") -> _Operation:
    """Return an operation; ``query`` names its integer query parameters, separated by spaces."""
    error = {"description": "refused", "content": {"application/json": {"schema": _object({"error": _TEXT}, ("error",))}}}
    responses: dict[str, Any] = {str(each): error for each in _ERRORS} | {str(status): {"description": "done"}}
    found: _Operation = {"summary": summary, "responses": responses}
    if token:
        found["security"] = [{token: []}]
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    forms: dict[str, Any] = _PLAN | {"mean": {"type": "integer", "minimum": 1, "maximum": MAX_MEAN}}
    if query:
        found["parameters"] = [{"name": name, "in": "query", "schema": forms[name]} for name in query.split()]
    return found


def _named(name: str, operation: _Operation, schema: dict[str, Any]) -> _Operation:
    return operation | {"parameters": [{"name": name, "in": "path", "required": True, "schema": schema}]}


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    link = {"enum": ["teach", "join"]}
    paths: dict[str, dict[str, _Operation]] = {
        "/api/lesson": {"get": _operation("The class and its notice, shown before joining", 200, "join")},
        "/api/participants": {
            "post": _operation("Join after reading the notice", 201, "join", _object({"notice": _TEXT}, ("notice",))),
            "delete": _operation("Leave and erase", 204, "participant"),
        },
        "/api/messages": {"post": _operation("Send a message", 204, "participant", _object(_MESSAGE, ("number",)))},
        "/api/plan": {"get": _operation("A lesson plan and its noise", 200, "open", query="bin_s bins")},
        "/api/classes": {"post": _operation("Open a class", 201, "open", _object(_NEW_CLASS, ("title",)))},
        "/api/class": {
            "get": _operation("The class and its timeline", 200, "teach", query="mean"),
            "delete": _operation("Erase the class", 204, "teach"),
        },
        "/api/class/events": {"get": _operation("Server-sent events: changed, gone", 200, "teach")},
        "/api/class/start": {"post": _operation("Start the lesson", 204, "teach")},
        "/api/class/end": {"post": _operation("End the lesson", 204, "teach")},
        "/api/class/next": {"post": _operation("Open the next lesson of the series", 201, "teach", _object(_NEW_CLASS))},
        "/api/class/links": {"post": _operation("Create a link", 201, "teach", _object({"kind": link}))},
        "/api/class/links/{kind}": {"delete": _named("kind", _operation("Revoke links", 200, "teach"), link)},
        "/api/class/marks": {"post": _operation("Add a mark or a note", 201, "teach", _object(_MARK, ("text",)))},
        "/api/class/marks/{mark_id}": {
            "delete": _named(
                "mark_id", _operation("Remove a mark", 204, "teach"), {"type": "string", "pattern": "^[0-9a-f]{32}$"}
            )
        },
        "/api/class/table.csv": {"get": _operation("The timeline as CSV", 200, "teach")},
        "/api/class/series": {"get": _operation("Mean of each lesson of the series", 200, "teach")},
    }
    schemes = {name: {"type": "http", "scheme": "bearer"} for name in ("open", "teach", "join", "participant")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mien class server", "version": VERSION},
        "paths": paths,
        "components": {"securitySchemes": schemes},
    }
