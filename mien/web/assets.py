"""The built page and its files: names carry the hash of their content, so browsers may keep them for good."""

from __future__ import annotations

import gzip
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mien.errors import DeviceError

FOREVER: Final = "public, max-age=31536000, immutable"
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
        DeviceError: the page was not built.
    """
    folder = Path(str(resources.files("mien"))) / "web" / "static"
    if not (folder / PAGE_NAME).is_file():
        raise DeviceError(
            f"the page is not built: there is no {folder / PAGE_NAME}. In a clone, build it with: make page. "
            "Released packages contain it"
        )
    return folder


class Assets:
    """Delivers the files of a folder, compressed as they stand there.

    Args:
        folder: holds NAME.br and NAME.gz for each file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = {path.stem for path in folder.glob("*.gz")}

    def deliver(self, request: Request) -> Response:
        """Return the file that the path names."""
        name = str(request.path_params["name"])
        if name not in self._names:
            return PlainTextResponse("no such file", status_code=404)
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        content_type = _TYPES[Path(name).suffix]
        accepted = {part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
        for encoding, ending in (("br", ".br"), ("gzip", ".gz")):
            if encoding in accepted:
                content = (self._folder / f"{name}{ending}").read_bytes()
                return Response(content, headers=headers | {"Content-Encoding": encoding}, media_type=content_type)
        content = gzip.decompress((self._folder / f"{name}.gz").read_bytes())
        return Response(content, headers=headers, media_type=content_type)
