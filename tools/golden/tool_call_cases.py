#!/usr/bin/env python3
"""Writes corbel/chat/tool_call_cases/*.jsonl: answers as models write them, and what has to be read out of them.

Every expectation follows from how the text was put together; no parser is asked. Needs Python alone.
One object a line: format, reasoning, case, prompt, tools, text -> content, reasoning_text, calls [[id, name, arguments]].
"""
import json
import pathlib

from tool_call_formats import FORMATS, dump

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "corbel" / "chat" / "tool_call_cases"
THINK = "<think>\nI need a tool.\n</think>\n\n"


PARIS = ("get_weather", '{"location": "Paris"}')
ADD = ("add", '{"a": 1, "b": 2.5}')
PING = ("ping", "{}")


class Cases:
    def __init__(self, form):
        self.form, self.rows = form, []

    def add(self, case, text, content="", calls=(), thoughts="", **more):
        row = {"format": self.form.name, "case": case, "text": text, "content": content, "reasoning_text": thoughts,
               "calls": list(calls)}
        row.update(more)
        self.rows.append(row)

    def calls(self, case, calls, **more):
        self.add(case, self.form.text(calls), calls=self.form.expected(calls), **more)

    def argument(self, case, arguments):
        self.calls(case, [("write", dump(arguments))])


def shared_cases(form):
    cases = Cases(form)
    one = form.text([PARIS])
    expected = form.expected([PARIS])
    cases.calls("one call", [PARIS])
    cases.calls("no arguments", [PING])
    if form.bare and form.name == "bare_json":
        both = form.text([PARIS, ADD])
        cases.add("two calls, a newline between", both, calls=form.expected([PARIS, ADD]))
        cases.add("two calls, a semicolon between", both.replace("\n", "; "), calls=form.expected([PARIS, ADD]))
    else:
        cases.calls("two calls", [PARIS, ADD])
        cases.calls("three calls", [PING, ADD, PARIS])
    cases.calls("the same call twice", [PARIS, PARIS])
    cases.add("text alone", "Just a < b, {c} and [d] in it.\n", "Just a < b, {c} and [d] in it.\n")
    cases.add("nothing", "")
    cases.add("blanks alone", "\n\n", "\n\n")
    cases.argument("brackets of all kinds in a text", {"text": "}{][)( }} ]] )) {{"})
    cases.argument("quotes and backslashes in a text", {"text": 'say "hi" or \'ho\' \\ back \\n'})
    cases.argument("newlines in a text", {"text": "first\n  second\n\nfourth"})
    cases.argument("Unicode", {"text": "S\u00e3o Paulo \u4e2d\u6587 \U0001f600"})
    cases.argument("nested values", {"object": {"a": [1, {"b": None}], "c": {}}, "flag": True, "list": [1, 2.5, "x"]})
    cases.argument("a number beyond 64 bits", {"n": 123456789012345678901234567890})
    cases.argument("an empty text", {"text": ""})
    cases.argument("prose about a marker inside a text", {"text": "write %s to call" % form.marker})
    if form.name == "channel_markers":
        return cases.rows + channel_cases(form)
    if form.bare:
        cases.add("content before a call makes it content", "Let me check.\n" + one, "Let me check.\n" + one)
    else:
        cases.add("content before a call", "Let me check.\n\n" + one, "Let me check.", expected)
        cases.add("content before and behind", "Let me check. " + one + "\nDone.", "Let me check.Done.", expected)
    cases.add("content behind a call", one + "\n\nDone, I hope.", "Done, I hope.", expected)
    cases.add("thoughts before a call", THINK + one, "", expected, "I need a tool.")
    cases.add("thoughts that the prompt opened", "I need a tool.\n</think>\n" + one, "", expected, "I need a tool.",
              prompt="<|assistant|><think>\n")
    cases.add("a call inside thoughts is a thought", "<think>" + one + "</think>ok", "ok", [], one)
    cases.add("thoughts without an end", "<think>\nHm. Hm.", "", [], "Hm. Hm.")
    cases.add("calls that nobody asked for", one, one, [], read_calls=False)
    name_at = one.index("get_weather") + 6
    cases.add("cut off in the name", one[:name_at], one[:name_at])
    value_at = one.index("Paris") + 3
    cases.add("cut off in the arguments", one[:value_at], one[:value_at])
    if len(form.marker) > 1:
        cases.add("cut off in the first marker", form.marker[:-1], form.marker[:-1])
        prose = "The marker %s starts a call." % form.marker
        cases.add("a marker in prose", prose, prose)
        cases.add("nothing but markers", form.marker * 40, form.marker * 40)
    if form.closing:
        cases.add("cut off behind the arguments", one[:-len(form.closing)], "", expected)
        cases.add("cut off in the last marker", one[:-1], "", expected)
    if form.takes_raw_json:
        wrong = form.text([("get_weather", '{"location": Paris}')])
        cases.add("arguments that are no JSON", wrong, wrong)
        unquoted = form.text([("get_weather", '{location: "Paris"}')])
        cases.add("keys without quotes", unquoted, unquoted)
        single = form.text([("get_weather", "{'location': 'Paris'}")])
        cases.add("quotes of the wrong kind", single, single)
        deep = form.text([("f", '{"a": ' + "[" * 100 + "]" * 100 + "}")])
        cases.add("nested too deep", deep, deep)
        cases.calls("the same key twice stays", [("f", '{"a": 1, "a": 2}')])
        cases.calls("numbers as they are written", [("f", '{"a": 1e400, "b": -0.0, "c": 1.50}')])
        cases.calls("spacing as it is written", [("f", '{ "a" :1,\n\t"b":[ ] }')])
        escaped = form.text([("f", '{"a": "\\u00e9\\ud83d\\ude00 \\/"}')])
        cases.add("escapes as they are written", escaped, "", form.expected([("f", '{"a": "\\u00e9\\ud83d\\ude00 \\/"}')]))
        raw = form.text([("f", '{"a": "x\ny\tz"}')])
        cases.add("raw newlines in a text are escaped", raw, "", form.expected([("f", '{"a": "x\\ny\\tz"}')]))
    if not form.bare and not form.all_or_nothing:
        broken = one[:value_at] + "\x00" if not form.takes_raw_json else form.one("f", "{]", 1)
        if form.takes_raw_json:
            text = form.section[0] + form.one(*PARIS) + form.between + broken + form.section[1]
            left = broken + form.section[1]
            cases.add("a broken call behind a good one", text, left, expected)
            text = form.section[0] + broken + form.between + form.one(*PARIS) + form.section[1]
            before = (form.section[0] + broken).rstrip()
            cases.add("a good call behind a broken one", text, before, expected)
    if form.all_or_nothing:
        text = form.section[0] + form.one(*PARIS) + form.between + "!" + form.section[1]
        cases.add("a broken call spoils its list", text, text)
    return cases.rows


def channel_cases(form):
    cases = Cases(form)
    one, expected = form.text([PARIS]), form.expected([PARIS])
    final = "<|channel|>final<|message|>It rains.<|return|>"
    thought = "<|channel|>analysis<|message|>Use the tool.<|end|><|start|>assistant"
    cases.add("the final answer", final, "It rains.")
    cases.add("a thought, then the answer", thought + final, "It rains.", [], "Use the tool.")
    cases.add("a thought, then a call", thought + one, "", expected, "Use the tool.")
    cases.add("the recipient before the channel",
              ' to=functions.get_weather<|channel|>commentary json<|message|>{"location": "Paris"}<|call|>', "", expected)
    cases.add("words to the user before a call",
              "<|channel|>commentary<|message|>Let me check.<|end|><|start|>assistant" + one, "Let me check.", expected)
    cases.add("no channel", "<|message|>Hello.<|end|>", "Hello.")
    cases.add("no header", "Hello there.", "Hello there.")
    cases.add("cut off behind the arguments", one[:-len(form.closing)], "", expected)
    cases.add("cut off in the last marker", one[:-3], "", expected)
    cases.add("cut off in a header", "<|channel|>comm", "<|channel|>comm")
    half = one[:one.index("Paris") + 2]
    cases.add("cut off in the arguments", half, half)
    wrong = "<|channel|>commentary to=functions.f<|message|>not JSON<|call|>"
    cases.add("arguments that are no JSON", wrong, wrong[:-len("<|call|>")])
    cases.add("a header without an end", "<|channel|>" + "x" * 600, "<|channel|>" + "x" * 600)
    cases.add("markers of messages in prose", "<|channel|>final<|message|>a <|b|> <|en <|start<|end|>", "a <|b|> <|en <|start")
    cases.add("two thoughts", thought + "<|channel|>analysis<|message|>More.<|end|>", "", [], "Use the tool.More.")
    cases.add("a message that starts without the last one's end",
              "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Yes.", "Yes.", [], "Hm.")
    cases.add("calls that nobody asked for", one, '{"location": "Paris"}', [], read_calls=False)
    return cases.rows


def typed(name, **types):
    properties = {key: {"type": kind} for key, kind in types.items()}
    return [{"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}]


def own_cases(form):
    cases = Cases(form)
    name = form.name
    if name in ("xml_function", "xml_invoke", "key_value_tags"):
        def text(value):
            return form.one("f", dump({"x": value}))
        tools = typed("f", x="string")
        cases.add("a text that looks like a number", text("12"), "", [["", "f", '{"x": "12"}']], tools=tools)
        cases.add("a text that looks like null", text("null"), "", [["", "f", '{"x": "null"}']], tools=tools)
        cases.add("a text that looks like an object", text('{"a": 1}'), "", [["", "f", '{"x": "{\\"a\\": 1}"}']], tools=tools)
        cases.add("a number by its type", text("12"), "", [["", "f", '{"x": 12}']], tools=typed("f", x="integer"))
        cases.add("a number of unknown type", text("12"), "", [["", "f", '{"x": 12}']])
        cases.add("Python's None", text("None"), "", [["", "f", '{"x": null}']])
        cases.add("Python's dict", text("{'a': True}"), "", [["", "f", '{"x": {"a": true}}']])
        cases.add("a word where a number was wanted", text("twelve"), "", [["", "f", '{"x": "twelve"}']],
                  tools=typed("f", x="integer"))
        cases.add("a telephone's number", text("(555)"), "", [["", "f", '{"x": "(555)"}']])
        cases.add("quotes belong to a text", text('"12"'), "", [["", "f", '{"x": "\\"12\\""}']])
        cases.add("text or null", text("null"), "", [["", "f", '{"x": null}']], tools=typed("f", x=["string", "null"]))
        cases.add("tags inside a value", text("<b>x</b> </function"), "", [["", "f", '{"x": "<b>x</b> </function"}']])
        twice = form.one("f", '{"x": 1}').replace("1", "1", 1)
        start = twice.index("<", twice.index("f") + 1) if name == "key_value_tags" else twice.index("<parameter")
        end = twice.index("</tool_call>") if name == "key_value_tags" else twice.index("</function>") if name == "xml_function" else twice.index("</invoke>")
        if name != "key_value_tags":
            parameter = twice[start:end]
            doubled = twice[:end] + parameter.replace("1", "2") + twice[end:]
            cases.add("the last of equal parameters counts", doubled, "", [["", "f", '{"x": 2}']])
        unclosed = twice[:end]
        cases.add("a call without its end", unclosed, unclosed)
    if name == "xml_function":
        cases.add("no tags around", "<function=f>\n<parameter=x>\n1\n</parameter>\n</function>", "", [["", "f", '{"x": 1}']])
        cases.add("the outer end alone", "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n</tool_call>", "",
                  [["", "f", '{"x": 1}']])
        cases.add("values without newlines", "<tool_call><function=f><parameter=x>a b</parameter></function></tool_call>",
                  "", [["", "f", '{"x": "a b"}']])
        cases.add("a prefix in the tags", "<seed:tool_call>\n<function=f>\n<parameter=x>1</parameter>\n</function>\n</seed:tool_call>",
                  "", [["", "f", '{"x": 1}']])
    if name == "json_in_tags":
        cases.add("arguments as a text", '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', "",
                  [["", "f", '{"a": 1}']])
        cases.add("no arguments at all", '<tool_call>{"name": "f"}</tool_call>', "", [["", "f", "{}"]])
        cases.add("the arguments first", '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>', "", [["", "f", '{"a": 1}']])
        cases.add("a function inside", '<tool_call>{"type": "function", "function": {"name": "f", "arguments": {}}}</tool_call>',
                  "", [["", "f", "{}"]])
        cases.add("a list in tags", '<tool_calls>[{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]</tool_calls>',
                  "", [["", "f", "{}"], ["", "g", "{}"]])
        cases.add("the closing tag inside a text", '<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}</tool_call>',
                  "", [["", "f", '{"a": "</tool_call>"}']])
        for case, body in {"no name": '{"arguments": {}}', "an empty name": '{"name": "", "arguments": {}}',
                           "a name that is no text": '{"name": 1, "arguments": {}}',
                           "arguments that are a list": '{"name": "f", "arguments": [1]}',
                           "a text in tags": '"f"'}.items():
            cases.add(case, "<tool_call>%s</tool_call>!" % body, "<tool_call>%s</tool_call>!" % body)
    if name == "json_after_marker":
        cases.add("another marker", '<|tool_call|>[{"name": "f", "arguments": {}}]', "", [["", "f", "{}"]])
        cases.add("a word as marker", 'functools[{"name": "f", "arguments": {}}]', "", [["", "f", "{}"]])
        cases.add("a blank behind the marker", '[TOOL_CALLS] [{"name": "f", "arguments": {}}]', "", [["", "f", "{}"]])
    if name == "name_after_marker":
        cases.add("no id", '[TOOL_CALLS]f[ARGS]{"a": 1}', "", [["", "f", '{"a": 1}']])
        cases.add("arguments that are a list", "[TOOL_CALLS]f[ARGS][1]", "[TOOL_CALLS]f[ARGS][1]")
    if name == "bare_json":
        tools = typed("f", x="string")
        cases.add("JSON that is no call", '{"name": "Bob", "age": 3}', '{"name": "Bob", "age": 3}')
        cases.add("a name that no tool has", '{"name": "g", "parameters": {}}', '{"name": "g", "parameters": {}}', tools=tools)
        cases.add("a name that a tool has", '{"name": "f", "parameters": {}}', "", [["", "f", "{}"]], tools=tools)
        cases.add("no arguments make no call", '{"name": "f"}', '{"name": "f"}')
        cases.add("a marker before", '<|python_tag|>{"name": "f", "parameters": {"x": "y"}}', "", [["", "f", '{"x": "y"}']])
        cases.add("blanks before", '\n {"name": "f", "parameters": {}}', "", [["", "f", "{}"]])
        cases.add("a list", '[{"name": "f", "arguments": {}}]', "", [["", "f", "{}"]])
        cases.add("a list of numbers", "[1, 2]", "[1, 2]")
    if name.startswith("python_calls"):
        tag = ("<|tool_call_start|>", "<|tool_call_end|>") if name == "python_calls_in_tags" else ("", "")
        def wrap(text):
            return tag[0] + text + tag[1]
        for case, text, calls in [
                ("both kinds of quotes", """[f(a="x'y", b='x"y')]""", [["", "f", '{"a": "x\'y", "b": "x\\"y"}']]),
                ("JSON's words", "[f(a=true, b=null, c=[1, 2])]", [["", "f", '{"a": true, "b": null, "c": [1, 2]}']]),
                ("three quotes", '[f(a="""x "y" z""")]', [["", "f", '{"a": "x \\"y\\" z"}']]),
                ("empty texts", "[f(a='', b=\"\")]", [["", "f", '{"a": "", "b": ""}']]),
                ("a tuple", "[f(a=(1, 2))]", [["", "f", '{"a": [1, 2]}']]),
                ("blanks between", "[ f ( a = 1 , ) ,\n g ( ) ]", [["", "f", '{"a": 1}'], ["", "g", "{}"]]),
                ("a dotted name", "[api.get(x=-1.5e3)]", [["", "api.get", '{"x": -1.5e3}']])]:
            cases.add(case, wrap(text), "", calls)
        for case, text in [("positional arguments", "[f(1)]"), ("the same argument twice", "[f(a=1, a=2)]"),
                           ("an expression", "[f(a=1+2)]"), ("a call inside", "[f(a=g())]"), ("no call", "[f]"),
                           ("an empty list", "[]"), ("a footnote", "[1] says"), ("wrong brackets", "[f(a=1])"),
                           ("nested too deep", "[f(a=" + "[" * 100 + "]" * 100 + ")]")]:
            cases.add(case, wrap(text), wrap(text))
    if name == "function_tags":
        cases.add("text between calls", '<function=f>{}</function> and <function=g>{"a": 1}</function>', "and",
                  [["", "f", "{}"], ["", "g", '{"a": 1}']])
        cases.add("a name with a blank", "<function=a b>{}</function>", "<function=a b>{}</function>")
    if name == "marked_sections":
        cases.add("no section around", "<|tool_call_begin|>functions.f:3<|tool_call_argument_begin|>{}<|tool_call_end|>", "",
                  [["functions.f:3", "f", "{}"]])
        cases.add("a name alone", "<|tool_call_begin|>f<|tool_call_argument_begin|>{}<|tool_call_end|>", "", [["", "f", "{}"]])
        cases.add("an empty section", "<|tool_calls_section_begin|><|tool_calls_section_end|>",
                  "<|tool_calls_section_begin|><|tool_calls_section_end|>")
    if name == "fenced_sections":
        cases.add("no fence", '<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>f<\uff5ctool\u2581sep\uff5c>{"a": 1}<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>',
                  "", [["", "f", '{"a": 1}']])
        cases.add("newlines between markers", '<\uff5ctool\u2581calls\u2581begin\uff5c>\n<\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>f\n```json\n{}\n```\n<\uff5ctool\u2581call\u2581end\uff5c>\n<\uff5ctool\u2581calls\u2581end\uff5c>',
                  "", [["", "f", "{}"]])
    if name == "action_list":
        cases.add("a fence", 'Action:\n```json\n[\n    {\n        "tool_name": "f",\n        "parameters": {"a": 1}\n    }\n]```\n', "",
                  [["", "f", '{"a": 1}']])
        cases.add("the word in prose", "Action: none. Action", "Action: none. Action")
    if name == "loose_object":
        cases.add("quotes as elsewhere", '<|tool_call>call:f{a:"x"}<tool_call|>', "", [["", "f", '{"a": "x"}']])
        cases.add("bare words", "<|tool_call>call:f{a:x}<tool_call|>", "<|tool_call>call:f{a:x}<tool_call|>")
        cases.add("a text without an end", '<|tool_call>call:f{a:<|"|>x}<tool_call|>', '<|tool_call>call:f{a:<|"|>x}<tool_call|>')
        cases.add("wrong brackets", "<|tool_call>call:f{a:[1}]<tool_call|>", "<|tool_call>call:f{a:[1}]<tool_call|>")
    if name == "recipient_lines":
        cases.add("text for the user", ">>>all\nHello.\nYou.", "Hello.\nYou.")
        cases.add("the prompt has opened the line", "all\nHello.>>>f\n{}", "Hello.", [["", "f", "{}"]], prompt="<|assistant|>\n>>>")
        cases.add("the prompt has opened a call", 'f\n{"a": 1}', "", [["", "f", '{"a": 1}']], prompt=">>>")
    return cases.rows


def main():
    FOLDER.mkdir(exist_ok=True)
    for form in [kind() for kind in FORMATS]:
        rows = shared_cases(form) + own_cases(form)
        with open(FOLDER / (form.name + ".jsonl"), "w", encoding="ascii") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")
        print(form.name, len(rows))


if __name__ == "__main__":
    main()
