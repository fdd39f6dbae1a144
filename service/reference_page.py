"""The page at /docs: the OpenAPI description as HTML, made once, with no script and nothing loaded from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_Schema = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { margin-top: 2rem; } h3 code { font-size: 1.05em; }
code, pre { font-family: ui-monospace, monospace; background: var(--soft); border-radius: .25em; }
code { padding: .1em .3em; } pre { padding: .75em; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3em .6em .3em 0; border-bottom: 1px solid var(--line); }
"""
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_reference(openapi: _Schema) -> str:
    """An OpenAPI 3.1 description as one HTML page: each operation, then each schema that they refer to."""
    info = openapi["info"]
    title = escape(info["title"])
    operations = "".join(_operations(openapi))
    schemas = "".join(_schema_section(name, schema) for name, schema in sorted(_schemas(openapi).items()))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: the HTTP interface</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{title}</h1><p>{escape(info.get('summary', ''))}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>. To try it: <a href="./">the page</a>.</p>'
        f"<h2>Operations</h2>{operations}<h2>Schemas</h2>{schemas}</main></body></html>\n"
    )


def _schemas(openapi: _Schema) -> dict[str, _Schema]:
    found: dict[str, _Schema] = openapi.get("components", {}).get("schemas", {})
    return found


def _operations(openapi: _Schema) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield (
                f"<section><h3><code>{method.upper()} {escape(path)}</code></h3>"
                f"<p><strong>{escape(operation.get('summary', ''))}.</strong> {_text(operation)}</p>"
                f"{_parameters(operation)}{_body(operation)}{_responses(operation)}</section>"
            )


def _parameters(operation: _Schema) -> str:
    rows = [
        [f"<code>{escape(parameter['name'])}</code>", parameter["in"], _type(parameter["schema"]), _text(parameter)]
        for parameter in operation.get("parameters", [])
    ]
    return _table(["Parameter", "In", "Type", "Meaning"], rows)


def _body(operation: _Schema) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    rows = [[f"<code>{escape(kind)}</code>", _type(media.get("schema", {}))] for kind, media in content.items()]
    return _table(["Body", "Type"], rows)


def _responses(operation: _Schema) -> str:
    rows = []
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        kinds = "<br>".join(
            f"<code>{escape(kind)}</code> {_type(media.get('schema', {}))}" for kind, media in content.items()
        )
        rows.append([escape(str(status)), _text(response), kinds])
    return _table(["Answer", "Meaning", "Content"], rows)


def _schema_section(name: str, schema: _Schema) -> str:
    required = schema.get("required", [])
    rows = [
        [
            f"<code>{escape(field)}</code>{'' if field in required else ' (may be missing)'}",
            _type(about),
            _text(about),
        ]
        for field, about in schema.get("properties", {}).items()
    ]
    table = _table(["Member", "Type", "Meaning"], rows)
    return f'<section><h3 id="{escape(name)}"><code>{escape(name)}</code></h3><p>{_text(schema)}</p>{table}</section>'


def _type(schema: _Schema) -> str:
    """A schema in a word or two, with links to those it refers to."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    kind = escape(str(schema.get("type", "any")))
    if kind == "array":
        kind = f"array of {_type(schema.get('items', {}))}"
    elif isinstance(schema.get("additionalProperties"), dict):
        kind = f"object of {_type(schema['additionalProperties'])}"
    return kind + "".join(_limits(schema))


def _limits(schema: _Schema) -> Iterator[str]:
    words = {"format": "", "minimum": "at least ", "maximum": "at most ", "maxLength": "length at most "}
    for key, word in words.items():
        if key in schema:
            yield f", {word}{escape(str(schema[key]))}"
    if "default" in schema:
        yield f", default <code>{escape(json.dumps(schema['default']))}</code>"


def _text(schema: _Schema) -> str:
    return escape(schema.get("description", "")).replace("`", "")


def _table(headings: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
