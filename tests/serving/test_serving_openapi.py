"""The service does what its OpenAPI document says, whatever it is sent: schemathesis against the running server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import CLASSES
from serving.openapi import document
from serving.requests import Options

load_all_checks()


@pytest.fixture(scope="module")
def api(served):
    return schemathesis.openapi.from_url(f"{served.url}/docs.json")


@pytest.fixture(scope="module", autouse=True)
def pictures(png) -> None:
    """What stands for an image where the document asks for one: a face, or anything."""
    face = png(generate(SyntheticOptions(images=500))[0][0])
    for kind in ("image/png", "image/jpeg"):
        schemathesis.openapi.media_type(kind, st.just(face) | st.binary())


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, methods in document()["paths"].items() for method in methods]
)
def test_every_answer_is_as_the_document_says(api, path: str, method: str, mode: GenerationMode) -> None:
    operation = api[path][method]
    if mode is GenerationMode.NEGATIVE and method in ("get", "delete"):
        pytest.skip("takes nothing that could be wrong")

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case) -> None:
        # What makes bytes a picture is beyond a schema: a body that is valid by it may still be no face.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()


def test_the_document_names_every_route_and_option(served) -> None:
    told = served.get("/docs.json").json()
    assert told == document()
    assert set(told["paths"]) == {
        "/predict", "/predict_batch", "/explain", "/feedback", "/predictions/{id}", "/model", "/samples", "/readyz",
    }  # fmt: skip
    options = {parameter["name"] for parameter in told["paths"]["/predict"]["post"]["parameters"]}
    assert options == set(Options.model_fields)
    shown = told["components"]["schemas"]["Prediction"]
    assert set(shown["example"]["probabilities"]) == set(CLASSES)
    assert set(shown["example"]) == set(shown["properties"])


def test_examples_can_be_sent_as_they_stand(served) -> None:
    body = document()["paths"]["/feedback"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert served.post("/feedback", json=body).status_code == 404  # nothing of that id, and nothing else wrong


def test_bentomls_interactive_pages_show_it(served) -> None:
    page = served.get("/docs")
    assert page.status_code == 200
    assert "swagger-ui" in page.text
