"""Structured output: what a schema asks for holds, whatever the model would have said."""
import json
import re

from sheet import Area, equal, expect

area = Area("structured")
FORMAT = "ResponseFormatJsonSchema.json_schema"
VALIDATION = "JSON Schema 2020-12 validation"
CORE = "JSON Schema 2020-12 core"


def object_of(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def wanted(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema, **more}}


def value_of(t, schema, **fields):
    """Of an object with the one property "v"."""
    choice = t.chat(response_format=wanted(object_of(v=schema)), max_tokens=400, **fields)["choices"][0]
    equal(choice["finish_reason"], "stop", f"finish_reason of {choice['message']['content']!r}")
    found = json.loads(choice["message"]["content"])
    equal(list(found), ["v"], "the members")
    return found["v"]


def each_value(t, schema, good, expected):
    for seed in range(3):
        value = value_of(t, schema, temperature=1, seed=seed)
        expect(good(value), expected, value)


def is_int(value):
    return type(value) is int


@area.case("ResponseFormatJsonObject.type")
def json_object_gives_an_object(t):
    choice = t.chat(response_format={"type": "json_object"}, max_tokens=200,
                    messages=[{"role": "user", "content": "Answer with a short JSON object."}])["choices"][0]
    content = choice["message"]["content"]
    if choice["finish_reason"] == "length":  # of a model that finds no end
        expect(content.lstrip().startswith("{"), "the beginning of an object", content)
    else:
        expect(isinstance(json.loads(content), dict), "an object", content)


@area.case(f"{FORMAT}.properties.schema")
def an_answer_follows_the_schema(t):
    schema = object_of(name={"type": "string", "enum": ["Ann", "Bob"]}, age={"type": "integer", "minimum": 0, "maximum": 150})
    found = json.loads(t.text(response_format=wanted(schema), max_tokens=200))
    expect(found["name"] in ("Ann", "Bob") and is_int(found["age"]) and 0 <= found["age"] <= 150, "a name and an age", found)


@area.case(f"{FORMAT}.properties.schema")
def members_come_in_the_order_of_the_schema(t):
    names = ["zeta", "alpha", "mid"]
    equal(list(json.loads(t.text(response_format=wanted(object_of(**dict.fromkeys(names, {"type": "boolean"}))), max_tokens=100))), names,
          "the members in their order")


@area.case(f"{FORMAT}.properties.description")
def a_description_is_accepted(t):
    equal(json.loads(t.text(response_format=wanted(object_of(v={"const": 1}), description="one"), max_tokens=60)), {"v": 1})


@area.case(f"{FORMAT}.properties.strict")
def a_schema_that_is_not_strict_is_accepted(t):
    expect(isinstance(json.loads(t.text(response_format=wanted(object_of(v={"type": "boolean"}), strict=False), max_tokens=60)), dict), "an object", "none")


@area.case(f"{FORMAT}.properties.schema")
def every_choice_follows_the_schema(t):
    for choice in t.chat(response_format=wanted(object_of(v={"enum": ["x", "y"]})), max_tokens=60, n=3, temperature=1.5, seed=1)["choices"]:
        expect(json.loads(choice["message"]["content"])["v"] in ("x", "y"), "x or y", choice["message"])


@area.case(f"{FORMAT}.properties.schema")
def a_stream_joins_to_what_the_schema_says(t):
    stream = t.chat_stream(response_format=wanted(object_of(v={"enum": ["x", "y"]})), max_tokens=60)
    expect(json.loads(stream.content())["v"] in ("x", "y"), "x or y", stream.content())


@area.case(f"{VALIDATION} 6.1.2 enum")
def enum(t):
    each_value(t, {"enum": ["red", "green", 7, None]}, lambda v: v in ("red", "green", 7, None), "red, green, 7 or null")


@area.case(f"{VALIDATION} 6.1.3 const")
def const(t):
    each_value(t, {"const": "exactly this"}, lambda v: v == "exactly this", "exactly this")


@area.case(f"{VALIDATION} 6.1.1 type integer")
def integer(t):
    each_value(t, {"type": "integer", "minimum": -5, "maximum": 5}, is_int, "a whole number")


@area.case(f"{VALIDATION} 6.2.4 minimum, 6.2.2 maximum")
def bounds(t):
    each_value(t, {"type": "integer", "minimum": 17, "maximum": 23}, lambda v: is_int(v) and 17 <= v <= 23, "17 to 23")


@area.case(f"{VALIDATION} 6.2.3 exclusiveMaximum")
def exclusive_bounds(t):
    each_value(t, {"type": "integer", "exclusiveMinimum": 8, "exclusiveMaximum": 11}, lambda v: v in (9, 10), "9 or 10")


@area.case(f"{VALIDATION} 6.2.1 multipleOf")
def multiple_of(t):
    each_value(t, {"type": "integer", "multipleOf": 25, "minimum": 0, "maximum": 200}, lambda v: is_int(v) and v % 25 == 0, "a multiple of 25")


@area.case(f"{VALIDATION} 6.1.1 type boolean")
def boolean(t):
    each_value(t, {"type": "boolean"}, lambda v: isinstance(v, bool), "true or false")


@area.case(f"{VALIDATION} 6.1.1 type null")
def null(t):
    each_value(t, {"type": "null"}, lambda v: v is None, "null")


@area.case(f"{VALIDATION} 6.1.1 type, a list of types")
def several_types(t):
    each_value(t, {"type": ["boolean", "null"]}, lambda v: v is None or isinstance(v, bool), "true, false or null")


@area.case(f"{VALIDATION} 6.3.1 maxLength")
def max_length(t):
    each_value(t, {"type": "string", "maxLength": 6}, lambda v: isinstance(v, str) and len(v) <= 6, "at most 6 characters")


@area.case(f"{VALIDATION} 6.3.2 minLength")
def min_length(t):
    each_value(t, {"type": "string", "minLength": 4, "maxLength": 9}, lambda v: isinstance(v, str) and 4 <= len(v) <= 9, "4 to 9 characters")


@area.case(f"{VALIDATION} 6.3.3 pattern")
def pattern(t):
    each_value(t, {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}, lambda v: re.fullmatch("[A-Z]{2}-[0-9]{3}", v), "AA-000")


@area.case(f"{VALIDATION} 6.3.3 pattern: not anchored, ECMA-262")
def a_pattern_may_match_anywhere(t):
    each_value(t, {"type": "string", "pattern": "q[uv]", "maxLength": 8}, lambda v: re.search("q[uv]", v), "qu or qv inside")


@area.case(f"{VALIDATION} 7.3.1 format date")
def date_format(t):
    each_value(t, {"type": "string", "format": "date"}, lambda v: re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", v), "a date")


@area.case(f"{VALIDATION} 7.3.5 format uuid")
def uuid_format(t):
    each_value(t, {"type": "string", "format": "uuid"}, lambda v: re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", v), "a uuid")


@area.case(f"{VALIDATION} 6.4.1 maxItems, 6.4.2 minItems")
def numbers_of_items(t):
    each_value(t, {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}, lambda v: 2 <= len(v) <= 3, "2 or 3 items")


@area.case(f"{CORE} 10.3.1.2 items")
def items(t):
    each_value(t, {"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 4}, lambda v: set(v) <= {1, 2}, "ones and twos")


@area.case(f"{CORE} 10.3.1.1 prefixItems")
def prefix_items(t):
    schema = {"type": "array", "prefixItems": [{"const": "a"}, {"type": "boolean"}], "items": False, "minItems": 2, "maxItems": 2}
    each_value(t, schema, lambda v: len(v) == 2 and v[0] == "a" and isinstance(v[1], bool), "a and a boolean")


@area.case(f"{VALIDATION} 6.5.3 required")
def required_members_are_there(t):
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}, "required": ["b"], "additionalProperties": False}
    each_value(t, schema, lambda v: "b" in v and set(v) <= {"a", "b"}, "b, perhaps a")


@area.case(f"{CORE} 10.3.2.3 additionalProperties")
def nested_objects_have_no_other_members(t):
    each_value(t, object_of(x=object_of(y={"const": 1})), lambda v: v == {"x": {"y": 1}}, "x.y = 1")


@area.case(f"{CORE} 10.2.1.2 anyOf")
def any_of(t):
    each_value(t, {"anyOf": [{"const": "a"}, {"type": "integer", "minimum": 1, "maximum": 3}]}, lambda v: v == "a" or v in (1, 2, 3), "a or 1 to 3")


@area.case(f"{CORE} 8.2.3.1 $ref")
def references(t):
    schema = {**object_of(v={"$ref": "#/$defs/side"}), "$defs": {"side": {"enum": ["left", "right"]}}}
    found = json.loads(t.text(response_format=wanted(schema), max_tokens=60))
    expect(found["v"] in ("left", "right"), "left or right", found)


@area.case(f"{CORE} 8.2.3.1 $ref, recursive")
def recursion(t):
    schema = {**object_of(v={"$ref": "#/$defs/node"}),
              "$defs": {"node": object_of(next={"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]})}}
    choice = t.chat(response_format=wanted(schema), max_tokens=300)["choices"][0]
    if choice["finish_reason"] == "stop":
        expect("next" in json.loads(choice["message"]["content"])["v"], "a node", choice["message"])
    else:
        expect(re.match(r'\s*\{\s*"v"\s*:\s*\{\s*"next"', choice["message"]["content"]), "the beginning of nodes", choice["message"])
