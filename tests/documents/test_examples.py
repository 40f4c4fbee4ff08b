"""The examples of the documents are recorded, complete and valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.documents.asyncapi import asyncapi
from app.documents.openapi import openapi
from app.sessions.errors import CATALOGUE
from tests.documents.examples import FILE, chosen, written
from tests.harness.conformance import of_answer, of_message


def test_the_committed_examples_are_those_that_were_recorded() -> None:
    assert FILE.read_text() == written(chosen()), "python -m tests.documents.examples"


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each body of the OpenAPI document: of requests and of responses."""
    for path in openapi()["paths"].values():
        for operation in path.values():
            name = operation["operationId"]
            if "requestBody" in operation:
                yield f"{name} request", operation["requestBody"]["content"]["application/json"]
            for status, response in operation["responses"].items():
                for kind, content in response.get("content", {}).items():
                    yield f"{name} {status} {kind}", content


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in contents()])
def test_each_body_has_examples_that_are_valid(content: dict[str, Any]) -> None:
    shape = of_answer(json.dumps(content["schema"]))
    shown = [example_of(each) for each in content["examples"].values()]
    assert shown
    assert [error.message for each in shown for error in shape.iter_errors(each)] == []


def test_each_error_of_a_route_has_an_example_with_its_code() -> None:
    for path in openapi()["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) < 400:
                    continue
                examples = response["content"]["application/json"]["examples"]
                assert [*examples] == response["headers"]["X-Error-Code"]["schema"]["enum"]
                shown = {code: example_of(example) for code, example in examples.items()}
                assert all(body.get("code", code) == code for code, body in shown.items())


@pytest.mark.parametrize("name", asyncapi()["components"]["messages"])
def test_each_message_has_examples_that_are_valid(name: str) -> None:
    examples = asyncapi()["components"]["messages"][name]["examples"]
    assert examples
    assert [error.message for each in examples for error in of_message(name).iter_errors(each["payload"])] == []


def test_each_error_has_an_example() -> None:
    over_sockets = {each["code"] for each in asyncapi()["components"]["schemas"]["Refused"]["examples"]}
    assert CATALOGUE.keys() == openapi()["components"]["examples"].keys() | over_sockets


def example_of(shown: dict[str, Any]) -> Any:
    if "$ref" in shown:
        shown = openapi()["components"]["examples"][shown["$ref"].rpartition("/")[2]]
    return shown["value"]
