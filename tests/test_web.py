"""The page's server: what it delivers, to whom, under which rules, and what it keeps."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY
from golden_engine import GOLDEN, golden, rounded
from starlette.testclient import TestClient

from mien.emotions import EMOTIONS
from mien.errors import NotPermittedError, StorageError
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.sessions.observations import COLUMNS, OBSERVABLE_COLUMNS
from mien.vision.bundles import PACKAGED_DETECTOR, packaged_bundle
from mien.web import assets, networks
from mien.web.app import WebSettings, create_app
from mien.web.constants import constants_text
from mien.web.headers import CONTENT_SECURITY_POLICY
from mien.web.onnx_graph import free_input_size, keep_outputs

ORIGIN = {"Origin": "http://127.0.0.1"}


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built page, small and made on the spot: what is delivered does not depend on what is in it."""
    import gzip

    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "learner.html").write_text("<!doctype html><title>Mien</title>")
    (folder / "assets" / "worker-0123456789.js.gz").write_bytes(gzip.compress(b"let x = 1"))
    (folder / "assets" / "worker-0123456789.js.br").write_bytes(b"\x0b\x04\x80let x = 1\x03")
    monkeypatch.setattr(assets, "static_folder", lambda: folder)
    monkeypatch.setattr("mien.web.app.static_folder", lambda: folder)
    return folder


@pytest.fixture
def client(here: Path, yunet: Path) -> Callable[..., TestClient]:
    def make(**settings: Any) -> TestClient:
        app = create_app(WebSettings(**{"model": "mien-xs", "sessions": Path("results/sessions"), **settings})).app
        return TestClient(app, base_url="http://127.0.0.1", headers=ORIGIN)

    return make


def face(label: str = "happy", **changes: Any) -> dict[str, Any]:
    row = [0.9 if name == label else 0.1 / 6 for name in EMOTIONS]
    values = {"track_id": "bcdfgh", "box": {"x": 10, "y": 20, "w": 80, "h": 90}, "score": 0.9, "raw": row, "smoothed": row}
    more = {"label": label, "unread": "", "pose": {"yaw_deg": 1, "pitch_deg": 2, "roll_deg": 3}, "facing": True}
    return {**values, **more, **changes}


def batch(count: int, start: int = 0, **changes: Any) -> dict[str, Any]:
    frames = [
        {"index": k, "t_s": k / 5, "interval_s": 0.2 if k else 0.0, "width": 640, "height": 480, "faces": [face(**changes)]}
        for k in range(start, start + count)
    ]
    return {"captured": start + count + 3, "dropped": 3, "frames": frames}


def test_every_answer_carries_the_policy_that_keeps_pictures_in_the_page(client: Callable[..., TestClient]) -> None:
    page = client()
    for path in ("/", "/settings.json", "/assets/worker-0123456789.js", "/no-such-page"):
        answer = page.get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "connect-src 'self'" in CONTENT_SECURITY_POLICY
    assert "unsafe-inline" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


def test_files_are_compressed_and_kept_for_good(client: Callable[..., TestClient]) -> None:
    page = client()
    address = "/assets/worker-0123456789.js"
    answer = page.get(address, headers={"Accept-Encoding": "gzip"})
    assert (answer.text, answer.headers["content-encoding"]) == ("let x = 1", "gzip")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    with page.stream("GET", address, headers={"Accept-Encoding": "gzip, br"}) as streamed:
        assert streamed.headers["content-encoding"] == "br"
        assert b"".join(streamed.iter_raw()) == b"\x0b\x04\x80let x = 1\x03"
    plain = page.get(address, headers={"Accept-Encoding": "identity"})
    assert plain.text == "let x = 1"
    assert "content-encoding" not in plain.headers
    assert page.get("/assets/..%2flearner.html").status_code == 404
    assert page.get("/assets/other.js").status_code == 404


def test_the_command_that_writes_networks_explains_itself_and_lists_what_it_wrote(
    here: Path, yunet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        networks.main(["--help"])
    assert "networks.json" in capsys.readouterr().out
    assert not (here / "--help").exists()
    assert networks.main(["site/networks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(f"{path}  {path.stat().st_size:,} bytes" for path in Path("site/networks").iterdir())
    assert networks.main(["elsewhere", "no-such-model"]) != 0
    assert "error:" in capsys.readouterr().err


def test_settings_name_the_networks_and_the_networks_are_there(client: Callable[..., TestClient]) -> None:
    page = client()
    settings = page.get("/settings.json").json()
    assert settings["detector"]["name"] == "yunet"
    assert settings["model"]["name"] == "mien-xs"
    assert set(settings["model"]["uncertain_below"]) == set(EMOTIONS)
    assert settings["keeps"] == ""
    for network in (settings["detector"], settings["model"]):
        answer = page.get(network["url"])
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert len(answer.content) > 100_000
    assert page.post("/sessions", json={"source": "camera"}).status_code == 404  # nothing is kept unless asked for


def test_where_expressions_may_not_be_read_the_model_is_not_even_served(
    client: Callable[..., TestClient], school: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr("mien.web.networks.Predictor", lambda *args, **more: opened.append(args))
    settings = client(deployment=school).get("/settings.json").json()
    assert settings["model"] is None
    assert settings["detector"] is not None
    assert opened == []
    assert any("no expressions" in notice for notice in settings["notices"])


def test_a_deployment_that_permits_nothing_is_refused(client: Callable[..., TestClient], school: Path) -> None:
    text = school.read_text().replace("feedback-to-the-learner", "grading")
    school.write_text(text)
    with pytest.raises(NotPermittedError):
        client(deployment=school)


def test_without_yunet_the_packaged_detector_is_served(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import onnxruntime

    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    page = client()
    detector = page.get("/settings.json").json()["detector"]
    assert detector["name"] == "mien-detect"
    served = onnxruntime.InferenceSession(page.get(detector["url"]).content)
    packaged = onnxruntime.InferenceSession(packaged_bundle(PACKAGED_DETECTOR))
    image = {"image": np.random.default_rng(0).integers(0, 255, (90, 120, 1), np.uint8)}
    for ours, theirs in zip(served.run(None, image), packaged.run(None, image), strict=True):
        assert np.allclose(ours, theirs, atol=1e-3)
    web = create_app(WebSettings(model="mien-xs", sessions=Path("results/sessions")))
    assert any("mien doctor --fetch" in notice for notice in web.notices)


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9", "null", None])
def test_pages_of_other_origins_change_nothing(client: Callable[..., TestClient], origin: str | None, here: Path) -> None:
    page = client(keep=True)
    page.headers.pop("Origin")
    answer = page.post("/sessions", json={"source": "x"}, headers={} if origin is None else {"Origin": origin})
    assert answer.status_code == 403
    assert not (here / "results").exists()


def test_names_that_lead_here_by_trickery_are_refused(client: Callable[..., TestClient]) -> None:
    assert client().get("/settings.json", headers={"Host": "evil.example"}).status_code == 400


def test_a_kept_session_is_what_the_desktop_writes(client: Callable[..., TestClient], here: Path) -> None:
    page = client(keep=True)
    assert page.get("/settings.json").json()["keeps"] == "results/sessions"
    begun = page.post("/sessions", json={"source": "HD camera\x07"}).json()
    assert page.post(f"/{begun['address']}/frames", json=batch(10)).json() == {"withdrawn": "", "notices": []}
    folder = here / begun["folder"]
    with (folder / "observations.partial.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 10  # each row is there as soon as it was sent: a kill loses none
    assert tuple(rows[0]) == COLUMNS
    assert (rows[3]["label"], rows[3]["confidence"], rows[3]["facing"], rows[3]["x"]) == ("happy", "0.9000", "1", "10.0")
    unread = batch(2, 10, label="", raw=[], smoothed=[], unread="blurred")
    assert page.post(f"/{begun['address']}/end", json=unread).json() == {"withdrawn": "", "notices": []}
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["frames"], summary["captured"], summary["dropped"], summary["state"]) == (12, 15, 3, "ended")
    assert summary["distribution"]["happy"] == 1.0
    assert summary["unread"] == {"blurred": 2}
    assert (summary["model"], summary["detector"], summary["source"]) == ("mien-xs", "yunet", "HD camera\\u0007")
    assert summary["valence"] is not None
    assert (folder / "summary.html").is_file()
    assert (folder / "observations.csv").is_file()
    # and it is one session among the others
    from mien.sessions.archive import open_archive

    with open_archive(here / "results" / "sessions") as archive:
        assert [stored.record.frames for stored in archive.sessions()] == [12]


def test_under_observables_the_kept_session_names_no_expression(
    client: Callable[..., TestClient], here: Path, school: Path
) -> None:
    page = client(keep=True, deployment=school)
    begun = page.post("/sessions", json={"source": "camera"}).json()
    page.post(f"/{begun['address']}/frames", json=batch(5))  # a page that was changed and sends labels all the same
    page.post(f"/{begun['address']}/end", json=batch(0))
    folder = here / begun["folder"]
    with (folder / "observations.csv").open(newline="") as handle:
        assert tuple(next(csv.reader(handle))) == OBSERVABLE_COLUMNS
    assert "happy" not in (folder / "observations.csv").read_text() + (folder / "summary.json").read_text()


def test_a_session_can_be_erased(client: Callable[..., TestClient], here: Path) -> None:
    page = client(keep=True)
    begun = page.post("/sessions", json={"source": "camera"}).json()
    page.post(f"/{begun['address']}/frames", json=batch(5))
    assert page.delete(f"/{begun['address']}").status_code == 200
    assert not (here / begun["folder"] / "observations.partial.csv").exists()
    answer = page.post(f"/{begun['address']}/frames", json=batch(5))
    assert answer.status_code == 400
    assert "not running" in answer.json()["error"]


def test_a_session_is_erased_even_if_the_withdrawal_cannot_be_recorded(client: Callable[..., TestClient], here: Path) -> None:
    root = here / "results" / "sessions"
    for purpose in ("show", "keep"):
        ConsentLedger(state_folder(root)).record("ada", purpose, "granted", notice_for(decide()))
    page = client(keep=True, person="ada")
    begun = page.post("/sessions", json={"source": "camera"}).json()
    page.post(f"/{begun['address']}/frames", json=batch(5))
    (state_folder(root) / "consents.jsonl").write_text("garbage\n")
    answer = page.delete(f"/{begun['address']}")
    assert answer.status_code == 200
    assert ["the withdrawal was not recorded" in notice for notice in answer.json()["notices"]] == [True]
    assert not (here / begun["folder"]).exists()


@pytest.fixture
def consents(here: Path) -> ConsentLedger:
    """The ledger of the usual folder, in which ada has agreed to everything."""
    ledger = ConsentLedger(state_folder(here / "results" / "sessions"))
    for purpose in ("show", "keep"):
        ledger.record("ada", purpose, "granted", notice_for(decide()))
    return ledger


def is_erased(here: Path, begun: dict[str, str]) -> bool:
    """Return whether nothing of a session is left, and the audit log says so."""
    events = [event["event"] for event in AuditLog(state_folder(here / "results" / "sessions")).events()]
    return not (here / begun["folder"]).exists() and "erased" in events


@pytest.mark.parametrize("purpose", ["show", "keep"])
@pytest.mark.parametrize("how", ["the server stops", "another page begins", "the page ends it", "the page is silent"])
def test_a_withdrawn_session_is_erased_however_it_ends(
    client: Callable[..., TestClient],
    here: Path,
    consents: ConsentLedger,
    purpose: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mien.web.app._CONSENT_EVERY_S", 0.01 if how == "the page is silent" else 3600.0)
    with client(keep=True, person="ada") as page:
        begun = page.post("/sessions", json={"source": "camera"}).json()
        page.post(f"/{begun['address']}/frames", json=batch(5))
        consents.record("ada", purpose, "withdrawn", notice_for(decide()))
        if how == "another page begins":
            monkeypatch.setattr("mien.web.keeping._QUIET_S", 0.0)
            answer = page.post("/sessions", json={"source": "two"})
            assert (answer.status_code, answer.json()["withdrawn"]) == (409, purpose)
        elif how == "the page ends it":
            said = page.post(f"/{begun['address']}/end", json=batch(5, 5)).json()
            assert said == {"withdrawn": purpose, "notices": ["The data of this session has been erased"]}
        elif how == "the page is silent":
            deadline_s = time.monotonic() + 30
            while not is_erased(here, begun) and time.monotonic() < deadline_s:
                time.sleep(0.02)
            assert is_erased(here, begun)
    assert is_erased(here, begun)
    if how != "the page ends it":
        assert "Consent was withdrawn. The data of this session has been erased\n" in capsys.readouterr().err


@pytest.mark.parametrize("route", ["frames", "end"])
@pytest.mark.parametrize("failing", [False, True])
def test_the_page_is_told_what_was_erased_while_it_was_silent(
    client: Callable[..., TestClient],
    here: Path,
    consents: ConsentLedger,
    route: str,
    failing: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise StorageError("the session was not erased. No space left")

    monkeypatch.setattr("mien.web.app._CONSENT_EVERY_S", 0.01)
    notice = "The data of this session has been erased"
    with client(keep=True, person="ada") as page:
        begun = page.post("/sessions", json={"source": "camera"}).json()
        page.post(f"/{begun['address']}/frames", json=batch(5))
        if failing:
            notice = "the session was not erased. No space left"
            monkeypatch.setattr("mien.sessions.folder.SessionFolder.erase", fail)
        consents.record("ada", "show", "withdrawn", notice_for(decide()))
        printed, deadline_s = "", time.monotonic() + 30
        while "Consent was withdrawn" not in printed and time.monotonic() < deadline_s:
            time.sleep(0.02)
            printed += capsys.readouterr().err
        assert notice in printed
        said = page.post(f"/{begun['address']}/{route}", json=batch(5, 5)).json()
        assert said["withdrawn"] == "show"
        assert [notice in each for each in said["notices"]] == [True]
        if route == "frames":
            assert page.post(f"/{begun['address']}/end", json=batch(0)).json() == {"withdrawn": "show", "notices": []}


def test_no_session_begins_and_nothing_is_written_after_a_withdrawal(
    client: Callable[..., TestClient], here: Path, consents: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client(keep=True, person="ada")
    begun = page.post("/sessions", json={"source": "camera"}).json()
    opened: list[object] = []
    monkeypatch.setattr("mien.sessions.recorder.SessionRecorder.update", lambda *_: opened.append(1))
    consents.record("ada", "show", "withdrawn", notice_for(decide()))
    assert page.post(f"/{begun['address']}/frames", json=batch(5)).json()["withdrawn"] == "show"
    assert opened == []
    page.post(f"/{begun['address']}/end", json=batch(0))
    assert page.post("/sessions", json={"source": "camera"}).json() == {"error": "consent was withdrawn", "withdrawn": "show"}


def test_two_pages_do_not_record_at_once(client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    page = client(keep=True)
    first = page.post("/sessions", json={"source": "one"}).json()
    refused = page.post("/sessions", json={"source": "two"})
    assert refused.status_code == 409
    assert "another page" in refused.json()["error"]
    monkeypatch.setattr("mien.web.keeping._QUIET_S", 0.0)  # a page that was closed without a word
    assert page.post("/sessions", json={"source": "two"}).status_code == 200
    assert page.post(f"/{first['address']}/frames", json=batch(1)).status_code == 400


def test_a_server_that_stops_ends_the_session(client: Callable[..., TestClient], here: Path) -> None:
    with client(keep=True) as page:
        begun = page.post("/sessions", json={"source": "camera"}).json()
        page.post(f"/{begun['address']}/frames", json=batch(5))
    assert json.loads((here / begun["folder"] / "summary.json").read_text())["state"] == "interrupted"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"track_id": "../../x"}, "track_id"),
        ({"label": "bored"}, "label"),
        ({"raw": [0.5, 0.5]}, "seven"),
        ({"smoothed": [9.0] * 7}, "seven"),
        ({"unread": "<script>", "label": "", "raw": [], "smoothed": []}, "reason"),
        ({"facing": "yes"}, "facing"),
        ({"box": None}, "box"),
        ({"score": float("nan")}, "finite"),
    ],
)
def test_rows_that_cannot_be_are_refused_and_the_session_goes_on(
    client: Callable[..., TestClient], change: dict[str, Any], said: str
) -> None:
    page = client(keep=True)
    begun = page.post("/sessions", json={"source": "camera"}).json()
    body = json.dumps(batch(1, **({"label": "happy"} | change if "label" not in change else change)))
    answer = page.post(f"/{begun['address']}/frames", content=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert page.post(f"/{begun['address']}/frames", json=batch(3)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"captured": 1}', b"\xff" * 10])
def test_bodies_that_are_no_batch_are_refused(client: Callable[..., TestClient], body: bytes) -> None:
    page = client(keep=True)
    begun = page.post("/sessions", json={"source": "camera"}).json()
    assert page.post(f"/{begun['address']}/frames", content=body).status_code == 400
    assert page.post("/sessions", content=b"[]").status_code in (400, 409)


def test_a_page_that_was_not_built_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.errors import DeviceError

    monkeypatch.undo()
    monkeypatch.setattr("mien.web.assets.resources.files", lambda _: tmp_path)
    with pytest.raises(DeviceError, match="not built"):
        assets.static_folder()


def test_yunet_takes_any_size_and_finds_the_same(yunet: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    published = yunet.read_bytes()
    free = onnxruntime.InferenceSession(free_input_size(published), options)
    assert {output.shape[1] for output in free.get_outputs()}.isdisjoint({6400, 1600, 400})
    small = free.run(None, {"input": np.zeros((1, 3, 96, 128), np.float32)})
    assert [value.shape[1] for value in small[:3]] == [192, 48, 12]
    picture = np.random.default_rng(0).uniform(0, 255, (1, 3, 640, 640)).astype(np.float32)
    before = onnxruntime.InferenceSession(published, options).run(None, {"input": picture})
    for ours, theirs in zip(free.run(None, {"input": picture}), before, strict=True):
        assert np.array_equal(ours, theirs)


def test_the_model_that_is_served_answers_the_same_and_nothing_else() -> None:
    import onnxruntime

    content = (REPOSITORY / "mien" / "bundles" / "mien-xs.onnx").read_bytes()
    served = onnxruntime.InferenceSession(keep_outputs(content, frozenset({"probabilities"})))
    assert [output.name for output in served.get_outputs()] == ["probabilities"]
    faces = np.random.default_rng(0).integers(0, 255, (2, 1, 48, 48), np.uint8)
    whole = onnxruntime.InferenceSession(content).run(["probabilities"], {"faces": faces})[0]
    assert np.array_equal(served.run(None, {"faces": faces})[0], whole)


@pytest.mark.parametrize("content", [b"\x3a\xff", b"\x3b", b"\x3a"])
def test_files_that_are_cut_short_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"truncated message|wire type"):
        free_input_size(content)


def test_the_browser_has_pythons_numbers() -> None:
    written = (REPOSITORY / "web" / "engine" / "constants.json").read_text(encoding="utf-8")
    assert written == constants_text(), "write it again with: python -m mien.web.constants > web/engine/constants.json"


def test_the_golden_vectors_are_what_python_answers(yunet: Path) -> None:
    pytest.importorskip("skimage", reason="scikit-image has the astronaut's photograph")
    written = json.loads(GOLDEN.read_text(encoding="utf-8"))
    _close(rounded(golden(yunet)), written, "golden")


def _close(found: Any, expected: Any, where: str) -> None:
    """Assert that two documents differ by rounding at most."""
    assert isinstance(found, type(expected)) or {type(found), type(expected)} == {int, float}, where
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            _close(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for k, (one, other) in enumerate(zip(found, expected, strict=True)):
            _close(one, other, f"{where}[{k}]")
    elif isinstance(expected, float):
        assert abs(found - expected) <= 2e-4 * max(1.0, abs(expected)), where
    else:
        assert found == expected, where
