"""A grammar of chat templates for fuzz_templates.py: mostly well typed, so that most of them print something."""

VARIABLES = {
    "s": "Hello World", "t": "  a-b c,d  ", "u": "h\u00e9llo \u4e2d\u6587 \U0001f600", "w": "line one\nline two\n\nlast", "e": "",
    "h": "<b class=\"x\">&'q'</b>", "q": "it's \"so\"", "p": "12", "r": "3.75", "i": 7, "z": 0, "n": -3, "f": 2.5, "g": -0.125,
    "big": 4611686018427387904, "yes": True, "no": False, "nil": None,
    "l": [3, 1, 2], "m": ["b", "A", "c", "a"], "k": [], "x": [1, "a", None, 2.5, True, [1], {"k": 1}],
    "d": {"b": 1, "a": 2, "C": 3}, "o": {}, "j": {"name": "f", "args": {"x": [1, 2], "y": {"z": "\u00e9"}}, "items": 5, "n": None},
    "v": [{"role": "user", "content": "hi", "n": 2}, {"role": "assistant", "content": None, "n": 1}, {"role": "user", "content": "Bye", "n": 3}],
}
NAMES = {"str": list("stuwehqpr"), "int": ["i", "z", "n", "i"], "float": ["f", "g"], "bool": ["yes", "no"],
         "list": list("lmkxv") + ["l", "m", "v"], "dict": list("doj"), "any": list(VARIABLES) + ["missing"]}
KINDS = ["str", "int", "float", "bool", "list", "dict", "any"]
STRINGS = ["''", "'a'", "'b'", "' '", "','", "'-'", "'Hello World'", "'a b  c'", "'x\\ny'", "'\\u00e9'", "'%s'", "'%d|%s'", "'{}'", "'{:>5}'", "'{0} {x}'",
           "\"it's\"", "'<i>'", "'1_000'", "'0x1f'", "' 12 '", "'-7'", "'1e3'", "'nan'", "'l'", "'World'", "'\\t'", "'ABC'", "'ab' 'cd'", "'user'"]
INTS = ["0", "1", "2", "3", "5", "10", "-1", "-2", "7", "1_000", "0x1F", "0b101", "0o17", "100"]
FLOATS = ["0.5", "2.0", "1e3", "-1.5", "0.1", "1e-5", "1e16", "123456789.125", "2.675", "1.5e300"]


class Grammar:
    def __init__(self, rng):
        self.rng = rng
        self.loops = 0
        self.macros = []

    def pick(self, *options):
        return self.rng.choice(options)

    def chance(self, p):
        return self.rng.random() < p

    # expressions

    def expr(self, kind, depth):
        if self.chance(0.04):
            kind = self.pick(*KINDS)
        if kind == "any":
            kind = self.pick("str", "str", "int", "float", "bool", "list", "dict", "leaf")
        if depth <= 0 or kind == "leaf" or self.chance(0.12):
            return self.leaf(kind)
        if self.chance(0.06):
            return f"({self.expr(kind, depth - 1)} if {self.expr('bool', depth - 1)} else {self.expr(kind, depth - 1)})"
        if self.chance(0.04):
            return f"({self.expr(kind, depth - 1)} {self.pick('or', 'and')} {self.expr(kind, depth - 1)})"
        if self.chance(0.04):
            return f"{self.wrapped(kind, depth - 1)}|{self.pick('default', 'd')}({self.leaf(kind)}{self.pick('', ', true')})"
        return getattr(self, "make_" + kind)(depth - 1)

    def wrapped(self, kind, depth):
        text = self.expr(kind, depth)
        return text if self.chance(0.1) else f"({text})"

    def leaf(self, kind):
        if kind == "leaf":
            kind = self.pick(*KINDS)
        if kind == "any" or self.chance(0.6):
            return self.pick(*NAMES[kind])
        return {"str": lambda: self.pick(*STRINGS), "int": lambda: self.pick(*INTS), "float": lambda: self.pick(*FLOATS),
                "bool": lambda: self.pick("true", "false", "True", "False"),
                "list": lambda: self.pick("[]", "[1, 2, 3]", "(1, 2)", "['a', 'B']", "[[1, 2], [3, 4]]", "range(4)", "(1,)", "()", "[1, 1, 2]", "[none, 'x']"),
                "dict": lambda: self.pick("{}", "{'a': 1}", "{'a': 1, 'b': [2]}", "{1: 'x', 'y': none}", "dict(a=1, b='c')")}[kind]()

    def arg(self, kind):
        return self.expr(kind, 1) if self.chance(0.3) else self.leaf(kind)

    def method_of_str(self):
        s, n = lambda: self.arg("str"), lambda: self.arg("int")
        return self.pick(
            "strip()", f"strip({s()})", "lstrip()", "rstrip()", f"lstrip({s()})", "upper()", "lower()", "title()", "capitalize()", "swapcase()",
            f"replace({s()}, {s()})", f"replace({s()}, {s()}, {n()})", f"join({self.arg('list')})", f"format({self.arg('any')}, x={self.arg('any')})",
            f"center({n()})", f"ljust({n()}, '*')", f"rjust({n()})", f"zfill({n()})", f"removeprefix({s()})", f"removesuffix({s()})",
            "expandtabs(4)", "casefold()", f"encode().decode()" if self.chance(0.02) else "strip('o')")

    def make_str(self, depth):
        s, w = lambda: self.expr("str", depth), lambda: self.wrapped("str", depth)
        a = lambda: self.wrapped("any", depth)
        return self.pick(
            lambda: f"{s()} ~ {self.expr('any', depth)}", lambda: f"{w()} + {w()}", lambda: f"{w()}.{self.method_of_str()}", lambda: f"{w()}.{self.method_of_str()}",
            lambda: f"{w()}|{self.pick('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'reverse', 'e', 'escape', 'forceescape', 'safe', 'striptags', 'urlencode', 'center', 'wordwrap', 'truncate', 'indent', 'urlize' if self.chance(0.02) else 'trim')}",
            lambda: f"{w()}|replace({self.arg('str')}, {self.arg('str')}{self.pick('', ', 1')})", lambda: f"{w()}|trim({self.arg('str')})",
            lambda: f"{w()}|indent({self.arg('int')}{self.pick('', ', true', ', first=true, blank=true', ', blank=true')})", lambda: f"{w()}|indent('> ')",
            lambda: f"{w()}|truncate({self.pick('5', '9', '12', '20')}{self.pick('', ', true', ', false, leeway=0', ', end=self_' if False else ', true, end=`..`')})",
            lambda: f"{w()}|center({self.arg('int')})", lambda: f"{w()}|wordwrap({self.pick('3', '5', '8', '20')}{self.pick('', ', false', ', wrapstring=`|`', ', break_on_hyphens=false')})",
            lambda: f"{a()}|string", lambda: f"{a()}|tojson", lambda: f"{a()}|tojson(indent={self.pick('2', '4', '0', 'none', chr(39) + '-' + chr(39))})",
            lambda: f"{a()}|tojson({self.pick('ensure_ascii=true', 'sort_keys=true', 'separators=(`,`, `:`)', 'indent=2, sort_keys=true')})",
            lambda: f"{self.wrapped('list', depth)}|join{self.pick('', '(`,`)', '(`, `)', '(`-`, attribute=`role`)')}", lambda: f"{w()}[{self.arg('int')}]",
            lambda: f"{w()}[{self.pick('', '1', '-3', '0')}:{self.pick('', '2', '-1', '9')}{self.pick('', ':', ':2', ':-1')}]",
            lambda: f"'%s {self.pick('%s', '%5s', '%-5s', '%r', '%.2s')}' % ({self.expr('any', depth)}, {self.expr('any', depth)})", lambda: f"'{self.pick('%d', '%5d', '%-5d|', '%05d', '%+d', '%x', '%o', '%X', '%i', '%e', '%.3f', '%g', '%s', '%5.1f', '%c', '%%', '%#x')}' % {self.wrapped('int', depth)}",
            lambda: f"'{self.pick('%.2f', '%8.3f', '%g', '%e', '%d', '%s', '%+.1f', '%G', '%r')}' % {self.wrapped('float', depth)}",
            lambda: f"'{self.pick('{:.2f}', '{:>8}', '{:<8}|', '{:^9}', '{:+}', '{:08.2f}', '{:e}', '{:g}', '{:,}', '{:*^9}', '{!r}', '{!s:>4}', '{:%}', '{:n}')}'.format({self.pick(self.expr('float', depth), self.expr('int', depth))})",
            lambda: f"'{self.pick('{:d}', '{:5d}', '{:<5d}|', '{:x}', '{:#x}', '{:b}', '{:#b}', '{:o}', '{:c}', '{:,d}', '{:_}', '{:+d}', '{:05d}', '{:X}', '{:=+6d}')}'.format({self.expr('int', depth)})",
            lambda: f"'{self.pick('{}', '{:>6}', '{:.3}', '{!r}', '{0[0]}', '{0}', '{:^7.2}', '{:s}')}'.format({s()})", lambda: f"{w()} * {self.arg('int')}" if self.chance(.5) else f"{w()} * {self.pick('0', '1', '2', '3')}",
            lambda: f"{w()}|format({self.expr('any', depth)})", lambda: f"{self.wrapped('list', depth)}|{self.pick('first', 'last', 'min', 'max', 'random' if self.chance(.01) else 'first')}",
            lambda: f"{self.wrapped('int', depth)}|filesizeformat{self.pick('', '(true)')}", lambda: f"{a()}|pprint" if self.chance(.3) else f"{a()}|string", lambda: f"{self.wrapped('dict', depth)}|xmlattr{self.pick('', '(false)')}", lambda: f"{self.wrapped('dict', depth)}|urlencode",
            lambda: f"{w()}|attr('x')" if self.chance(.1) else f"{w()}|trim", lambda: f"strftime_now('{self.pick('%Y-%m-%d', '%d %b %Y', '%H:%M:%S', '%B %-d, %Y', '%A %j %U %y %p', '%Z|%z|%f|%%')}')")()

    def make_int(self, depth):
        i, w = lambda: self.expr("int", depth), lambda: self.wrapped("int", depth)
        return self.pick(
            lambda: f"{w()} {self.pick('+', '-', '*', '//', '%')} {w()}", lambda: f"{w()} ** {self.pick('0', '1', '2', '3')}", lambda: f"-{w()}", lambda: f"+{w()}",
            lambda: f"{self.wrapped('list', depth)}|{self.pick('length', 'count', 'sum', 'min', 'max', 'first', 'last')}", lambda: f"{self.wrapped('str', depth)}|{self.pick('length', 'wordcount', 'int', 'count')}",
            lambda: f"{self.wrapped('str', depth)}|int({self.pick('5', 'default=-1', '0, 16', '7, base=2', '0, 8', '0, 0')})", lambda: f"{self.wrapped('float', depth)}|int", lambda: f"{w()}|abs", lambda: f"{w()}|round{self.pick('', '(1)', '(-1)', '(method=`floor`)', '(0, `ceil`)')}",
            lambda: f"{self.wrapped('str', depth)}.{self.pick('find', 'rfind', 'count', 'index', 'rindex')}({self.arg('str')}{self.pick('', '', ', 1', ', -3', ', 1, 4')})", lambda: f"{self.wrapped('list', depth)}.{self.pick('index', 'count')}({self.leaf('any')})",
            lambda: f"{self.wrapped('list', depth)}[{i()}]", lambda: f"{self.wrapped('list', depth)}|sum(start={self.leaf('int')})", lambda: f"v|sum(attribute='n')", lambda: f"{self.wrapped('dict', depth)}|length", lambda: f"{w()}.{self.pick('bit_length()', 'real', 'numerator')}" if self.chance(.05) else f"{w()}|int",
            lambda: f"{self.pick('yes', 'no')} + {w()}")()

    def make_float(self, depth):
        w = lambda: self.wrapped("float", depth)
        return self.pick(lambda: f"{w()} {self.pick('+', '-', '*', '/', '//', '%')} {self.wrapped(self.pick('float', 'int'), depth)}", lambda: f"{self.wrapped('int', depth)} / {self.wrapped('int', depth)}", lambda: f"-{w()}",
                         lambda: f"{w()}|round{self.pick('', '(1)', '(2)', '(1, `floor`)', '(2, `ceil`)', '(-1)')}", lambda: f"{w()}|abs", lambda: f"{self.wrapped('str', depth)}|float{self.pick('', '(1.5)', '(none)')}", lambda: f"{self.wrapped('int', depth)}|float", lambda: f"{w()} ** {self.pick('2', '0.5', '-1', '0')}",
                         lambda: f"{w()}.is_integer()" if self.chance(.1) else w())()

    def test(self):
        return self.pick("defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "iterable", "sequence", "callable", "odd", "even", "lower", "upper", "escaped",
                         f"sameas({self.leaf('any')})", f"eq({self.leaf('any')})", f"ne {self.leaf('any')}", f"lt({self.leaf('int')})", f"le({self.leaf('int')})", f"gt({self.leaf('int')})", f"ge({self.leaf('float')})",
                         f"in({self.leaf('list')})", f"in {self.leaf('str')}", f"divisibleby({self.leaf('int')})", f"divisibleby {self.pick('2', '3')}", "filter", "test", f"equalto({self.leaf('any')})", f"greaterthan(1)", "lessthan 5")

    def make_bool(self, depth):
        a = lambda: self.wrapped("any", depth)
        i = lambda: self.wrapped(self.pick("int", "float"), depth)
        return self.pick(lambda: f"{a()} is {self.pick('', 'not ')}{self.test()}", lambda: f"{a()} is {self.pick('', 'not ')}{self.test()}", lambda: f"not {a()}", lambda: f"{a()} {self.pick('==', '!=')} {a()}", lambda: f"{i()} {self.pick('<', '<=', '>', '>=', '==')} {i()}",
                         lambda: f"{i()} {self.pick('<', '<=', '>')} {i()} {self.pick('<', '>=', '!=')} {i()}", lambda: f"{self.wrapped('str', depth)} {self.pick('<', '>', '<=', '==')} {self.wrapped('str', depth)}", lambda: f"{a()} {self.pick('in', 'not in')} {self.wrapped(self.pick('list', 'dict', 'str'), depth)}",
                         lambda: f"{self.wrapped('str', depth)} in {self.wrapped('str', depth)}", lambda: f"{self.wrapped('str', depth)}.{self.pick('startswith', 'endswith')}({self.arg('str')})", lambda: f"{self.wrapped('str', depth)}.{self.pick('isdigit', 'isalpha', 'isalnum', 'isspace', 'islower', 'isupper', 'istitle', 'isnumeric', 'isdecimal', 'isidentifier', 'isascii', 'isprintable')}()",
                         lambda: f"{self.wrapped('list', depth)} {self.pick('<', '==', '!=')} {self.wrapped('list', depth)}", lambda: f"{a()} and {a()}", lambda: f"{a()} or {a()}", lambda: f"{self.wrapped('str', depth)}.startswith(({self.leaf('str')}, {self.leaf('str')}))")()

    def make_list(self, depth):
        w, a = lambda: self.wrapped("list", depth), lambda: self.expr("any", depth)
        return self.pick(lambda: f"[{a()}, {a()}]", lambda: f"({a()}, {a()})", lambda: f"({a()},)", lambda: f"{w()} + {w()}", lambda: f"{w()}|list", lambda: f"{w()}|{self.pick('sort', 'sort(reverse=true)', 'sort(case_sensitive=true)', 'sort(attribute=`n`)', 'sort(attribute=`role,n`)', 'unique|list', 'unique(true)|list', 'unique(attribute=`role`)|list', 'reverse|list')}",
                         lambda: f"{w()}|map('{self.pick('upper', 'lower', 'string', 'trim', 'length', 'tojson', 'int', 'abs', 'first', 'title')}')|list", lambda: f"{w()}|map(attribute={self.pick(chr(39) + 'role' + chr(39), chr(39) + 'n' + chr(39) + ', default=0', '0', chr(39) + 'content.x' + chr(39))})|list",
                         lambda: f"{w()}|{self.pick('select', 'reject')}{self.pick('', '(`string`)', '(`odd`)', '(`gt`, 1)', '(`in`, [1, `a`])', '(`number`)', '(`defined`)', '(`none`)')}|list", lambda: f"{w()}|{self.pick('selectattr', 'rejectattr')}({self.pick('`role`', '`role`, `equalto`, `user`', '`n`, `gt`, 1', '`content`, `none`', '`content`', '`x.y`, `defined`')})|list",
                         lambda: f"{w()}|batch({self.pick('1', '2', '3')}{self.pick('', ', 0', ', `x`')})|list", lambda: f"{w()}|slice({self.pick('1', '2', '3')}{self.pick('', ', `x`')})|list", lambda: f"{self.wrapped('dict', depth)}.{self.pick('keys', 'values', 'items')}(){self.pick('', '|list', '|sort')}", lambda: f"{self.wrapped('dict', depth)}|{self.pick('items|list', 'dictsort', 'dictsort(true)', 'dictsort(by=`value`)', 'dictsort(reverse=true)', 'list')}",
                         lambda: f"{self.wrapped('str', depth)}.{self.pick('split()', 'split(`,`)', 'split(` `, 1)', 'rsplit(` `, 1)', 'splitlines()', 'splitlines(true)', 'partition(`-`)', 'rpartition(` `)', 'split(none, 1)', 'split(sep=`l`, maxsplit=1)', 'rsplit(none, 1)')}", lambda: f"{self.wrapped('str', depth)}|list", lambda: f"range({self.pick('3', '1, 4', '5, 0, -2', '0', '2, 9, 3', 'i', 'l|length')}){self.pick('', '|list')}",
                         lambda: f"{w()}[{self.pick('', '1', '-2', '0', 'none')}:{self.pick('', '2', '-1', '9', 'i')}{self.pick('', ':', ':2', ':-1', ':-2')}]", lambda: f"{w()} * {self.pick('0', '1', '2', '-1')}", lambda: f"v|groupby('{self.pick('role', 'n')}'){self.pick('', '|list', '|map(`first`)|list', '|map(attribute=`grouper`)|list', '|map(`last`)|list')}", lambda: f"{w()}|map('{self.pick('replace', 'default', 'join', 'round', 'format')}', {self.leaf('str')}, {self.leaf('str')})|list",
                         lambda: f"{w()}.copy()" if self.chance(.3) else f"{w()}|list", lambda: f"{w()}.{self.pick('append(1)', 'pop()', 'sort()', 'extend([1])')}" if self.chance(.1) else f"{w()}|list")()

    def make_dict(self, depth):
        a = lambda: self.expr("any", depth)
        return self.pick(lambda: f"{{{self.leaf('str')}: {a()}}}", lambda: f"{{{self.leaf('str')}: {a()}, {self.leaf(self.pick('str', 'int', 'bool', 'float'))}: {a()}}}", lambda: f"dict({self.pick('a', 'b')}={a()})", lambda: f"dict({self.wrapped('dict', depth)}, x={a()})", lambda: f"{self.wrapped('dict', depth)}.copy()", lambda: self.pick("j.args", "j['args']", "v[0]", "v|first", "v|last", "j.args.y", "j.get('args', {})", "j.get('none', {})"),
                         lambda: f"dict({self.wrapped('dict', depth)}.items())", lambda: f"dict({self.wrapped('dict', depth)}|items)", lambda: f"{self.wrapped('dict', depth)}.{self.pick('update({1: 2})', 'pop(1)', 'setdefault(1, 2)', 'clear()')}" if self.chance(.05) else "d", lambda: f"dict.fromkeys({self.arg('list')}{self.pick('', ', 0')})" if self.chance(.1) else "j",
                         lambda: f"dict([({self.leaf('str')}, {a()}), ['k', 1]])")()

    # statements

    def tag(self, text):
        return self.pick("{%", "{%", "{%-", "{%+" if self.chance(.2) else "{%") + " " + text + " " + self.pick("%}", "%}", "-%}", "+%}" if self.chance(.2) else "%}")

    def data(self):
        return self.pick("", "a", " ", "\n", "\n  ", "text ", "\n\n", "x\n", "  \n  y", "\t", "{# c #}", "{#- c -#}", "  {# c #}\n", "<|im_start|>", "{", "}", "%", "# ", "{% raw %}{{ x }} {% endraw %}", "\n  {%- raw -%} {% r %} {%- endraw -%}\n", "\r\n", "\u00a0")

    def printed(self):
        minus = self.pick("{{", "{{", "{{", "{{-"), self.pick("}}", "}}", "}}", "-}}")
        return f"{minus[0]} {self.expr('any', self.rng.randint(1, 3))} {minus[1]}"

    def loop_value(self):
        return "{{ " + self.pick("loop.index", "loop.index0", "loop.first", "loop.last", "loop.length", "loop.revindex", "loop.revindex0", "loop.previtem", "loop.nextitem", "loop.cycle('a', 'b')", "loop.changed(y)", "loop.depth", "loop.depth0", "loop.previtem is defined", "y", "y", "loop", "loop.x", "a") + " }}"

    def body(self, depth):
        out = ""
        for _ in range(self.rng.randint(0, 2 if depth < 2 else 3)):
            out += self.data()
            out += self.printed() if depth <= 0 or self.chance(0.5) else self.statement(depth - 1)
            if self.loops and self.chance(0.4):
                out += self.loop_value()
        return out + self.data()

    def statement(self, depth):
        return getattr(self, "do_" + self.pick("if", "if", "for", "for", "for", "set", "set", "set_block", "namespace", "macro", "call", "filter", "with", "generation", "call_macro", "recursive", "break", "oddity"))(depth)

    def do_if(self, depth):
        out = self.tag(f"if {self.expr(self.pick('bool', 'any'), 2)}") + self.body(depth)
        if self.chance(0.3):
            out += self.tag(f"elif {self.expr('bool', 2)}") + self.body(depth)
        if self.chance(0.4):
            out += self.tag("else") + self.body(depth)
        return out + self.tag("endif")

    def do_for(self, depth):
        target, items = self.pick(("y", self.expr("list", 2)), ("y", self.expr("any", 1)), ("a, y", f"{self.wrapped('dict', 1)}.items()"), ("a, y", f"{self.wrapped('dict', 1)}|dictsort"), ("a, y", "[[1, 2], (3, 4)]"), ("(a, y)", "d|items"), ("y", "v"), ("a, (y, c)", "[(1, (2, 3))]"), ("y", "loop.index, 2" if self.loops else "1, 2"), ("a, y", "v|groupby('role')"))
        condition = f" if {self.pick('y', 'y is string', 'y is not none', 'loop.index' if self.chance(.1) else 'y != 1', self.expr('bool', 1))}" if self.chance(0.25) else ""
        self.loops += 1
        out = self.tag(f"for {target} in {items}{condition}{' recursive' if self.chance(0.05) else ''}") + self.body(depth)
        if self.chance(0.2):
            out += self.tag(f"if {self.pick('loop.index == 2', 'loop.first', 'y == 1', 'loop.index > 1')}") + self.tag(self.pick("break", "continue")) + self.tag("endif")
        self.loops -= 1
        if self.chance(0.2):
            out += self.tag("else") + self.body(depth)
        return out + self.tag("endfor")

    def do_recursive(self, _):
        return self.tag("for y in [[1, [2]], 3, []] recursive") + "{{ y if y is number else loop(y) }}{{ loop.depth }}" + self.tag("endfor")

    def do_break(self, _):
        return self.tag(self.pick("break", "continue")) if self.loops else self.printed()

    def do_set(self, _):
        return self.tag(self.pick(f"set {self.pick('y', 's', 'i', 'c')} = {self.expr('any', 2)}", f"set a, y = {self.pick('1, 2', 'l', '[1, 2]', 's', '(3, 4)', 'd')}", f"set y = {self.expr('any', 1)}, {self.expr('any', 1)}")) + self.pick("", "{{ y }}")

    def do_set_block(self, depth):
        return self.tag(f"set c{self.pick('', '', ' | upper', ' | trim', ' | replace(`a`, `b`) | upper')}") + self.body(depth) + self.tag("endset") + "[{{ c }}]"

    def do_namespace(self, depth):
        name = self.pick("ns", "c")
        return self.tag(f"set {name} = namespace({self.pick('', 'n=0', 'n=[]', 'd, n=1', '{`n`: 2}')})") + self.tag("for y in l") + self.tag(f"set {name}.n = {self.pick('y', name + '.n ~ y', self.expr('any', 1), name + '.n + y')}") + self.body(depth - 1 if depth > 0 else 0) + self.tag("endfor") + f"{{{{ {name}.n }}}}"

    def do_macro(self, depth):
        name = self.pick("ma", "mb")
        self.macros.append(name)
        parameters = self.pick("", "a", "a, y=1", "a='x', y=a", "y", "a, y, c=none")
        extra = self.pick("", "", "{{ varargs }}", "{{ kwargs }}", "{{ caller() }}", "{{ caller is defined }}", "{{ varargs|length }}{{ kwargs|length }}")
        loops, self.loops = self.loops, 0
        out = self.tag(f"macro {name}({parameters})") + self.body(depth) + extra + self.tag("endmacro")
        self.loops = loops
        return out + self.do_call_macro(depth)

    def do_call_macro(self, _):
        name = self.pick(*(self.macros or ["ma"]))
        return "{{ " + name + self.pick("", "()", "()", f"({self.leaf('any')})", f"({self.leaf('any')}, {self.leaf('any')})", f"(a={self.leaf('any')})", f"(1, y={self.leaf('any')})", f"(1, 2, 3, 4)", "(q=1)", "(*l)", "(**{'a': 1})", ".name", ".arguments", ".catch_kwargs", ".caller", "(1)|upper", "(1) ~ 'x'") + " }}"

    def do_call(self, depth):
        name = self.pick(*(self.macros or ["ma"]))
        head = self.pick(f"call {name}()", f"call(y) {name}(1)", f"call {name}(a=2)")
        loops, self.loops = self.loops, 0
        out = self.tag(head) + self.body(depth) + self.tag("endcall")
        self.loops = loops
        return out

    def do_filter(self, depth):
        return self.tag(f"filter {self.pick('upper', 'trim', 'replace(`a`, `b`)', 'indent(2)', 'upper|trim', 'length', 'e', 'title', 'truncate(5)')}") + self.body(depth) + self.tag("endfilter")

    def do_with(self, depth):
        return self.tag("with " + self.pick(f"y = {self.expr('any', 1)}", f"a = 1, y = {self.expr('any', 1)}", "a = 2, y = a", "a, y = (1, 2)", "")) + self.body(depth) + self.tag("endwith") + self.pick("", "{{ y }}")

    def do_generation(self, depth):
        return self.tag("generation") + self.body(depth) + self.tag("endgeneration")

    def do_oddity(self, _):
        return self.pick("{{ x y }}", "{% if %}{% endif %}", "{{ raise_exception('no') }}", "{{ s.__class__ }}", "{{ ''.format }}", "{{ missing.y }}", "{{ missing[0] }}", "{{ 1 if 0 }}", "{{ (1 if 0).x }}", "{{ s|nothing }}", "{% if false %}{{ s|nothing }}{% endif %}", "{{ s is nothing }}", "{{ l|map('nothing')|list }}", "{{ [1] is sequence is true }}", "{% set l.x = 1 %}", "{{ lipsum }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}", "{% set c = joiner(', ') %}{{ c() }}a{{ c() }}b{{ c() }}", "{{ not_there|default('q') }}", "{{ 5.0|int }}{{ 1_0 }}", "{{ '{0.__class__}'.format(1) }}", "{{ s.x.y }}", "{{ d.b }}{{ d['b'] }}{{ d.nope }}", "{{ j.items }}{{ j['items'] }}", "{% set x.y = 2 %}", "{{ loop }}", "{{ caller }}", "{{ 1 ~ }}", "{% do 1 %}", "{{ 'a'.join(['b', 1]) }}", "{{ -2 ** 2 }}", "{{ 2 ** -1 }}", "{{ 7 // 0 }}", "{{ 1e308 * 10 }}", "{{ (1e308 * 10)|int }}", "{{ ''['a'] }}", "{{ 'abc'.1 }}", "{{ l.0 }}", "{{ 1.5.real }}", "{{ {}.x is defined }}", "{{ true + true }}", "{{ [] or {} or 'x' }}", "{{ nil + 1 }}", "{{ nil ~ 1 }}", "{{ nil|length }}", "{{ missing|length }}", "{{ missing|list }}", "{{ missing + 1 }}", "{{ missing == missing }}", "{{ missing|int }}", "{{ missing|tojson }}", "{{ [missing] }}", "{{ [missing]|join }}")

    def template(self):
        self.loops, self.macros = 0, []
        out = self.data()
        for _ in range(self.rng.randint(1, 2)):
            out += self.printed() if self.chance(0.55) else self.statement(2)
            out += self.data()
        return out.replace("`", '"')  # Python 3.11 takes no backslash within the braces of an f-string
