"""Every endpoint and every error, over HTTP, against a server in a process of its own."""

import base64
import io
import re
from pathlib import Path

import bentoml
import httpx
import matplotlib
import numpy as np
import pytest
from PIL import Image

from components.dataset import Dataset
from components.labels import CLASSES

PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def face(tiny_dataset: Dataset, png) -> bytes:
    return png(tiny_dataset.images[-1])


def check(document: dict) -> None:
    assert set(document["probabilities"]) == set(CLASSES)
    assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert document["confidence"] == max(document["probabilities"].values())
    assert document["probabilities"][document["class"]] == document["confidence"]
    assert isinstance(document["uncertain"], bool)
    assert document["model"] == {"name": "ferline-fer", "version": "1"}
    assert len(document["id"]) == 32


def test_a_form_and_a_raw_body_are_answered_alike(served, face: bytes) -> None:
    form = served.post("/predict", files={"image": face})
    raw = served.post("/predict", content=face, headers={"content-type": "image/png"})
    bare = served.post("/predict", content=face)
    assert [answer.status_code for answer in (form, raw, bare)] == [200, 200, 200], form.text + raw.text + bare.text
    for answer in (form, raw, bare):
        check(answer.json())
    assert form.json()["probabilities"] == raw.json()["probabilities"] == bare.json()["probabilities"]
    assert form.json()["face"] == {"left": 0, "top": 0, "width": 48, "height": 48}
    assert form.json()["id"] != raw.json()["id"]


def test_the_answer_is_the_registered_models_own(served, packages, tiny_dataset: Dataset, png) -> None:
    from components.registry.answer import ask

    images = tiny_dataset.images[-8:]
    expected = ask(packages["first"].model, images).probabilities
    answers = served.post("/predict_batch", files=[("images", png(image)) for image in images]).json()["answers"]
    found = np.array([[answer["probabilities"][name] for name in CLASSES] for answer in answers])
    assert np.abs(found - expected).max() < 1e-4


def test_bentomls_own_client_is_answered(served, face: bytes, tmp_path: Path) -> None:
    (tmp_path / "face.png").write_bytes(face)
    with bentoml.SyncHTTPClient(served.url) as client:
        check(client.predict(image=tmp_path / "face.png"))
        assert "overlay_png" in client.explain(image=tmp_path / "face.png", colours="inferno")


def test_the_face_of_a_photograph_is_cut_out(served) -> None:
    portrait = PORTRAIT.read_bytes()
    auto = served.post("/predict", files={"image": portrait}).json()
    whole = served.post("/predict?face=none", files={"image": portrait}).json()
    everyone = served.post("/predict", files={"image": portrait}, data={"face": "all"}).json()["answers"]
    width, height = Image.open(PORTRAIT).size
    assert auto["face"]["width"] < 0.6 * width
    assert whole["face"] == {"left": 0, "top": 0, "width": width, "height": height}
    assert everyone[0]["face"] == auto["face"]


def test_an_explanation_has_the_map_and_a_picture_of_the_faces_size(served, face: bytes) -> None:
    found = served.post("/explain", files={"image": PORTRAIT.read_bytes()}).json()
    heat = np.array(found["rollout"])
    assert heat.shape == (48, 48)
    assert heat.min() >= 0
    assert 0.9 < heat.max() <= 1  # the strongest patch is 1; between patches the map is interpolated
    overlay = Image.open(io.BytesIO(base64.b64decode(found["overlay_png"])))
    assert overlay.size == (found["face"]["width"], found["face"]["height"])
    only = served.post("/explain?strength=0", files={"image": face}, headers={"accept": "image/png"})
    assert only.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(only.content)).convert("L")).astype(int)
    assert np.abs(shown - np.asarray(Image.open(io.BytesIO(face)))).max() <= 1


def test_the_overlay_of_a_large_picture_stays_small(served) -> None:
    found = served.post("/explain?face=none", content=blank(3000)).json()
    assert found["face"]["width"] == 3000
    assert Image.open(io.BytesIO(base64.b64decode(found["overlay_png"]))).size == (1024, 1024)


def test_a_batch_is_answered_in_order_with_errors_in_their_places(served, face: bytes) -> None:
    done = served.post("/predict_batch", files=[("images", face), ("images", b"no picture"), ("images", face)])
    first, bad, last = done.json()["answers"]
    assert done.status_code == 200
    check(first)
    check(last)
    assert bad["error"]["kind"] == "UnknownPictureType"


def test_the_model_tells_what_it_is(served) -> None:
    found = served.get("/model").json()
    assert found["aliases"] == ["champion"]
    assert found["classes"] == list(CLASSES)
    assert 0 <= found["metrics"]["macro_f1"] <= 1
    assert "Article 5(1)(f)" in found["card"]
    assert 0 <= found["uncertain_below"] <= 1


def test_probes_and_metrics_tell_what_is_served(served, face: bytes) -> None:
    assert served.get("/livez").status_code == 200
    assert served.get("/readyz").json() == {"ready": True, "model": "1", "problem": None}
    served.post("/predict", files={"image": face})
    lines = served.get("/metrics").text
    assert 'ferline_model_served{alias="champion",version="1"} 1.0' in lines
    assert 'ferline_predictions_total{answer="' in lines
    assert "ferline_confidence_bucket" in lines


def test_requests_are_counted_by_known_paths_alone(served, face: bytes) -> None:
    """Each path that is kept stays in memory for good, and anybody can ask for ever new ones."""
    served.post("/predict", files={"image": face})
    before = served.get("/metrics").text
    for k in range(200):
        assert served.get(f"/never-heard-of/{k}").status_code == 404
        assert httpx.delete(f"{served.url}/predictions/{k:032x}").status_code == 404
    after = served.get("/metrics").text
    counted = set(re.findall(r'bentoml_service_request_total\{endpoint="([^"]*)"', after))
    assert {"/predict", "/predictions/{id}", "other"} <= counted
    assert len(counted) < 20
    assert len(after.splitlines()) < len(before.splitlines()) + 120


def test_the_page_is_whole_and_fetches_nothing_from_elsewhere(served) -> None:
    page = served.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text


def blank(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "request_", "status", "words"),
    [
        ("/predict", {"content": b""}, 422, "0 bytes"),
        ("/predict", {"content": b"GIF89a"}, 415, "no picture"),
        ("/predict", {"json": {"image": "x"}}, 415, "application/json"),
        ("/predict", {"files": {"picture": b"x"}}, 422, "one file `image`"),
        ("/predict", {"data": {"a": "b"}, "files": {}}, 415, "urlencoded"),
        ("/predict", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        (
            "/predict",
            {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            400,
            "multipart",
        ),
        ("/predict?face=some", {"content": b"x"}, 422, "face"),
        ("/predict?colour=red", {"content": b"x"}, 422, "face, margin, colours, tag, strength"),
        ("/predict?face=largest", {"content": blank(90)}, 422, "no face"),
        ("/predict", {"content": blank(9)}, 422, "9 x 9"),
        ("/predict", {"content": bytes(2_000_001)}, 413, "2 MB"),
        ("/predict", {"content": (bytes(100_000) for _ in range(40))}, 413, "2 MB"),
        ("/predict_batch", {"files": [("images", b"x")] * 9}, 413, "at most 8"),
        ("/predict_batch", {"files": {"other": b"x"}}, 422, "images"),
        ("/predict_batch", {"files": [("images", b"x"), ("image[]", b"x")]}, 422, "image[]"),
        ("/predict_batch?face=all", {"files": [("images", b"x")]}, 422, "face=all"),
        ("/explain?strength=2", {"content": b"x"}, 422, "strength"),
    ],
)
def test_what_cannot_be_answered_is_told_in_json(served, path: str, request_: dict, status: int, words: str) -> None:
    answer = served.post(path, **request_)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


def test_a_wrong_method_or_path_is_a_4xx(served) -> None:
    assert served.get("/predict").status_code == 405
    assert served.get("/predict").json()["error"]
    assert httpx.get(served.url + "/nowhere").status_code == 404
