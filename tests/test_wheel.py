"""The page in the built wheel: unpacked somewhere else, it is served from there."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
from build_web import STATIC, build_pages
from conftest import REPOSITORY
from fake_camera import running_page
from lrs_servers import free_port


def build_wheel(target: Path, **environment: str) -> Path:
    """Build a wheel of this repository into a folder."""
    answer = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return next(target.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_contains_the_page_and_serves_it(tmp_path: Path, yunet: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    if trouble := build_pages():
        pytest.fail(trouble) if os.environ.get("MIEN_REQUIRE_SHARED") else pytest.skip(f"there is no {trouble}")
    wheel = build_wheel(tmp_path / "dist")
    assert wheel.stat().st_size < 20 << 20
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    unpacked = tmp_path / "unpacked"
    assert {path.name for path in (unpacked / "mien" / "web" / "static" / "assets").iterdir()} == {
        path.name for path in (STATIC / "assets").iterdir()
    }
    (tmp_path / "run").mkdir()
    with running_page(tmp_path / "run", port=free_port(), PYTHONPATH=str(unpacked)) as url:

        def get(path: str) -> bytes:
            request = urllib.request.Request(url + path.lstrip("/"), headers={"Accept-Encoding": "identity"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bytes(answer.read())

        page = get("/").decode()
        for name in re.findall(r'(?:src|href)="(assets/[^"]+)"', page):
            assert get(name)
        names = json.loads((unpacked / "mien" / "web" / "static" / "assets.json").read_text())
        assert get(f"assets/{names['runtime']}")[:4] == b"\0asm"
        settings = json.loads(get("/settings.json"))
        assert len(get(settings["model"]["url"])) > 500_000
        assert f"assets/{names['worker']}" in page or names["worker"].encode() in get(
            re.findall(r'src="(assets/learner[^"]+)"', page)[0]
        )
    compressed = sum(path.stat().st_size for path in (STATIC / "assets").glob("*.br") if not path.name.startswith("src-"))
    first_visit = compressed + sum(len(gzip.compress(content, 9)) for content in _networks(yunet))
    print(f"first visit {first_visit / 1e6:.2f} MB")
    assert first_visit <= 3_500_000


def test_a_wheel_can_be_built_without_the_page(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    wheel = build_wheel(tmp_path, MIEN_WITHOUT_WEB="1", PATH="/usr/bin:/bin")
    assert "mien/web/app.py" in zipfile.ZipFile(wheel).namelist()


def _networks(yunet: Path) -> list[bytes]:
    from mien.privacy.policy import decide, permit_expressions
    from mien.web.networks import PAGE_MODEL, open_networks

    return list(open_networks(PAGE_MODEL, permit_expressions(decide())).files.values())
