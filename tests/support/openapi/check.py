"""Holds docs/openapi.yaml against its standard, the table of routes, and answers of a sidecar.

  check.py OPENAPI ROUTES ANSWERS

ROUTES is the C file with the table. ANSWERS has a line for each answer: method, path of the
document, code, content type, file. A content type may be "-". Prints what is wrong; the exit code
is then 1.
"""

import json
import re
import sys

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

JSON = "application/json"


def resolve(document, node):
    while "$ref" in node:
        at = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        node = at
    return node


def check_routes(document, source):
    documented = {
        (method.upper(), re.sub(r"{[^}]*}", "*", path))
        for path, item in document["paths"].items()
        for method in item
    }
    served = set(re.findall(r'{"(GET|POST)", "(/[^"]*)", ', open(source).read()))
    for method, path in sorted(served - documented):
        yield f"{method} {path} is served, and not documented"
    for method, path in sorted(documented - served):
        yield f"{method} {path} is documented, and not served"


def check_answer(document, line):
    method, path, code, content_type, file = line.split(maxsplit=4)
    name = f"{method} {path} {code}"
    responses = document["paths"][path][method.lower()]["responses"]
    response = responses.get(code) or responses.get(code[0] + "XX")
    if response is None:
        yield f"{name} is not documented"
        return
    content = resolve(document, response).get("content", {})
    kind = content_type.split(";")[0]
    if kind != "-" and kind not in content:
        yield f"{name} has the type {kind}, documented are {', '.join(content)}"
        return
    if kind != JSON:
        return
    schema = {"components": document["components"], **content[JSON]["schema"]}
    judge = Draft202012Validator(schema, format_checker=FormatChecker())
    for error in judge.iter_errors(json.load(open(file))):
        yield f"{name} in {file}: {error.json_path}: {error.message}"


def main():
    openapi, routes, answers = sys.argv[1:]
    document = yaml.safe_load(open(openapi))
    wrong = [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()]
    wrong += check_routes(document, routes)
    lines = open(answers).read().splitlines()
    for line in lines:
        wrong += check_answer(document, line)
    print("\n".join(wrong) if wrong else f"{len(lines)} answers are as documented")
    return 1 if wrong else 0


sys.exit(main())
