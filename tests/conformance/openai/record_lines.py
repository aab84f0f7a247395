"""Writes openapi_lines.json: at which line of OpenAI's openapi.yaml each citation of the cases stands.

  usage: record_lines.py OPENAPI_YAML COMMIT

A citation is a path of the API ("POST /embeddings") or a schema's property ("CreateChatCompletionRequest.n"), looked up in the schemas
that the named one refers to by allOf as well. One that is not there ends the program.
"""
import json
import pathlib
import re
import sys

INHERITED = {"CreateChatCompletionRequest": ["ModelResponseProperties"],
             "CreateResponse": ["ModelResponseProperties", "ResponseProperties"], "Response": ["ModelResponseProperties", "ResponseProperties"]}


def block(lines, begin):
    """Indices of the lines below a key, up to the next key that stands no deeper."""
    depth = len(lines[begin]) - len(lines[begin].lstrip())
    end = begin + 1
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > depth):
        end += 1
    return range(begin + 1, end)


def find_key(lines, key, within):
    """Of several the least deep one."""
    places = [i for i in within if re.fullmatch(rf" *{re.escape(key)}: *[^ ]*.*", lines[i]) and lines[i].strip().startswith(key + ":")]
    return min(places, key=lambda i: len(lines[i]) - len(lines[i].lstrip()), default=None)


def find(lines, cites):
    if cites.startswith(("GET ", "POST ")):
        method, path = cites.split(" ", 1)
        place = next(i for i, line in enumerate(lines) if line == f"  {path}:")
        return find_key(lines, method.lower(), block(lines, place))
    schema, *path = cites.split(".")
    for name in [schema, *INHERITED.get(schema, [])]:
        place = next((i for i, line in enumerate(lines) if line == f"    {name}:"), None)
        for key in path:
            place = place if place is None else find_key(lines, key, block(lines, place))
        if place is not None:
            return place
    return None


def main():
    import sheet  # the old lines are enough to load the cases
    import cases
    del cases
    lines = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
    cited = sorted({cites for area in sheet.AREAS for _, cites in area.cases if sheet.is_openai(cites)})
    places = {cites: find(lines, cites) for cites in cited}
    missing = [cites for cites, place in places.items() if place is None]
    if missing:
        raise SystemExit(f"not in {sys.argv[1]}: {', '.join(missing)}")
    record = {"source": f"github.com/openai/openai-openapi {sys.argv[2]} openapi.yaml, version 2.3.0",
              "lines": {cites: place + 1 for cites, place in places.items()}}
    path = pathlib.Path(__file__).parent / "openapi_lines.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(places)} lines")


if __name__ == "__main__":
    main()
