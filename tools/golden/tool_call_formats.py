"""The ways to write tool calls that tool_call_cases.py writes its cases in. Needs Python alone."""
import json


def dump(value):
    return json.dumps(value, ensure_ascii=False)


class Format:
    """One way to write calls. `one(name, raw)` takes the arguments as text of JSON."""
    name = ""
    section = ("", "")
    between = "\n"
    marker = ""            # what a call starts with
    bare = False           # calls stand at the start of an answer alone
    closing = ""           # what a complete call may be cut off in front of
    takes_raw_json = True  # arguments are JSON text, handed on as it is
    ids = False
    all_or_nothing = False  # one broken call spoils the whole list

    def one(self, name, raw, index=0):
        raise NotImplementedError

    def call_id(self, name, index):
        return ""

    def text(self, calls):
        body = self.between.join(self.one(name, raw, i) for i, (name, raw) in enumerate(calls))
        return self.section[0] + body + self.section[1]

    def expected(self, calls):
        return [[self.call_id(name, i), name, raw] for i, (name, raw) in enumerate(calls)]


class JsonInTags(Format):
    name, marker, closing = "json_in_tags", "<tool_call>", "\n</tool_call>"

    def one(self, name, raw, index=0):
        return '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>' % (name, raw)


class JsonAfterMarker(Format):
    name, marker, closing, between, all_or_nothing = "json_after_marker", "[TOOL_CALLS]", "", ", ", True
    section = ("[TOOL_CALLS][", "]")

    def one(self, name, raw, index=0):
        return '{"name": "%s", "arguments": %s, "id": "call0000%d"}' % (name, raw, index)

    def call_id(self, name, index):
        return "call0000%d" % index


class NameAfterMarker(Format):
    name, marker, closing, between = "name_after_marker", "[TOOL_CALLS]", "", ""

    def one(self, name, raw, index=0):
        return "[TOOL_CALLS]%s[CALL_ID]id%d[ARGS]%s" % (name, index, raw)

    def call_id(self, name, index):
        return "id%d" % index


class BareJson(Format):
    name, marker, bare = "bare_json", "{", True

    def one(self, name, raw, index=0):
        return '{"name": "%s", "parameters": %s}' % (name, raw)


class Python(Format):
    name, marker, bare, takes_raw_json, all_or_nothing = "python_calls", "[", True, False, True
    section, between = ("[", "]"), ", "

    def one(self, name, raw, index=0):
        return name + "(" + ", ".join("%s=%r" % item for item in json.loads(raw).items()) + ")"


class PythonInTags(Python):
    name, marker, bare = "python_calls_in_tags", "<|tool_call_start|>", False
    section, closing = ("<|tool_call_start|>[", "]<|tool_call_end|>"), "<|tool_call_end|>"


class XmlFunction(Format):
    name, marker, takes_raw_json = "xml_function", "<tool_call>", False

    def value(self, value):
        return value if isinstance(value, str) else dump(value)

    def one(self, name, raw, index=0):
        parts = ["<parameter=%s>\n%s\n</parameter>\n" % (k, self.value(v)) for k, v in json.loads(raw).items()]
        return "<tool_call>\n<function=%s>\n%s</function>\n</tool_call>" % (name, "".join(parts))


class XmlInvoke(XmlFunction):
    name, marker, section = "xml_invoke", "<invoke name=\"", ("<tool_calls>\n", "\n</tool_calls>")

    def one(self, name, raw, index=0):
        parts = ['<parameter name="%s">%s</parameter>\n' % (k, self.value(v)) for k, v in json.loads(raw).items()]
        return '<invoke name="%s">\n%s</invoke>' % (name, "".join(parts))


class KeyValueTags(XmlFunction):
    name, marker, between = "key_value_tags", "<tool_call>", "\n"

    def one(self, name, raw, index=0):
        parts = ["<arg_key>%s</arg_key>\n<arg_value>%s</arg_value>\n" % (k, self.value(v))
                 for k, v in json.loads(raw).items()]
        return "<tool_call>%s\n%s</tool_call>" % (name, "".join(parts))


class FunctionTags(Format):
    name, marker, closing, between = "function_tags", "<function=", "</function>", ""

    def one(self, name, raw, index=0):
        return "<function=%s>%s</function>" % (name, raw)


class MarkedSections(Format):
    name, marker, between = "marked_sections", "<|tool_calls_section_begin|>", ""
    section = ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")
    closing = "<|tool_call_end|><|tool_calls_section_end|>"

    def one(self, name, raw, index=0):
        return "<|tool_call_begin|>functions.%s:%d<|tool_call_argument_begin|>%s<|tool_call_end|>" % (name, index, raw)

    def call_id(self, name, index):
        return "functions.%s:%d" % (name, index)


class FencedSections(Format):
    name, marker = "fenced_sections", "<\uff5ctool\u2581calls\u2581begin\uff5c>"
    section = ("<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581calls\u2581end\uff5c>")
    closing = "\n```<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>"

    def one(self, name, raw, index=0):
        return "<\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>%s\n```json\n%s\n```<\uff5ctool\u2581call\u2581end\uff5c>" % (name, raw)


class ActionList(Format):
    name, marker, between, all_or_nothing = "action_list", "<|START_ACTION|>", ",\n", True
    section, closing = ("<|START_ACTION|>[\n", "\n]<|END_ACTION|>"), "<|END_ACTION|>"

    def one(self, name, raw, index=0):
        return '    {"tool_call_id": "%d", "tool_name": "%s", "parameters": %s}' % (index, name, raw)

    def call_id(self, name, index):
        return str(index)


class LooseObject(Format):
    name, marker, closing, between, takes_raw_json = "loose_object", "<|tool_call>", "<tool_call|>", "", False

    def value(self, value):
        if isinstance(value, str):
            return '<|"|>' + value + '<|"|>'
        if isinstance(value, dict):
            return "{" + ",".join("%s:%s" % (k, self.value(v)) for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ",".join(self.value(v) for v in value) + "]"
        return "None" if value is None else dump(value)

    def one(self, name, raw, index=0):
        return "<|tool_call>call:%s%s<tool_call|>" % (name, self.value(json.loads(raw)))


class RecipientLines(Format):
    name, marker, between = "recipient_lines", ">>>", ""

    def one(self, name, raw, index=0):
        return ">>>%s\n%s" % (name, raw)


class Channels(Format):
    name, between = "channel_markers", "<|start|>assistant"
    closing, marker = "<|call|>", "<|channel|>commentary to="

    def one(self, name, raw, index=0):
        return "<|channel|>commentary to=functions.%s <|constrain|>json<|message|>%s<|call|>" % (name, raw)


FORMATS = (JsonInTags, JsonAfterMarker, NameAfterMarker, BareJson, Python, PythonInTags, XmlFunction, XmlInvoke,
           KeyValueTags, FunctionTags, MarkedSections, FencedSections, ActionList, LooseObject, RecipientLines, Channels)
