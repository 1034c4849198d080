"""Static files of the built page. File names contain a hash of the content, so browsers may cache them indefinitely."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mien.errors import DeviceError

_HEADERS: Final = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
PAGE_NAME: Final = "learner.html"


def static_folder() -> Path:
    """Return the folder of the built page.

    Raises:
        DeviceError: the page is not built.
    """
    folder = Path(str(resources.files("mien"))) / "web" / "static"
    if not (folder / PAGE_NAME).is_file():
        raise DeviceError(
            f"the page is not built: there is no {folder / PAGE_NAME}. In a clone, build it with: make page. "
            "Released packages contain it"
        )
    return folder


class Assets:
    """Serves the precompressed files of a folder.

    Args:
        folder: contains NAME.br and NAME.gz for each file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = {path.stem for path in folder.glob("*.gz")}

    def deliver(self, request: Request) -> Response:
        """Return the file named in the path."""
        name = str(request.path_params["name"])
        if name not in self._names:
            return PlainTextResponse("no such file", status_code=404)
        content_type = _TYPES[Path(name).suffix]
        if "br" in _accepted(request):
            return _compressed((self._folder / f"{name}.br").read_bytes(), "br", content_type)
        return _packed((self._folder / f"{name}.gz").read_bytes(), request, content_type)


class PackedFiles:
    """Serves files from memory, gzip-compressed at the first request.

    Args:
        files: content by name.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)
        self._packed: dict[str, bytes] = {}

    def deliver(self, request: Request) -> Response:
        """Return the file named in the path."""
        name = str(request.path_params["name"])
        if name not in self._files:
            return PlainTextResponse("no such file", status_code=404)
        if name not in self._packed:  # two requests at once may both compress it
            self._packed[name] = gzip.compress(self._files[name], 9)
        return _packed(self._packed[name], request, "application/octet-stream")


def _packed(content: bytes, request: Request, content_type: str) -> Response:
    """Return a response with gzip-compressed content, decompressed if the client does not accept gzip."""
    if "gzip" in _accepted(request):
        return _compressed(content, "gzip", content_type)
    return Response(gzip.decompress(content), headers=_HEADERS, media_type=content_type)


def _compressed(content: bytes, encoding: str, content_type: str) -> Response:
    return Response(content, headers=_HEADERS | {"Content-Encoding": encoding}, media_type=content_type)


def _accepted(request: Request) -> set[str]:
    return {part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
