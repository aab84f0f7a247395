"""Random texts that tokenizers trip over: many scripts, code, white space, marks, emoji, special tokens and their ruins.

A text depends on the seed and its number alone: `text(seed, number, tokens)`.
"""

import random

# Blocks with characters that every library's tables know (assigned long before Unicode 10).
SCRIPTS = {
    "latin": [(0x61, 0x7A)] * 6 + [(0x41, 0x5A)] * 2 + [(0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x17F), (0x1E00, 0x1E95)],
    "greek": [(0x391, 0x3A1), (0x3A3, 0x3C9), (0x1F00, 0x1F15)],
    "cyrillic": [(0x410, 0x44F)] * 4 + [(0x400, 0x45F)],
    "arabic": [(0x621, 0x63A), (0x641, 0x64A), (0x64B, 0x652), (0x660, 0x669)],
    "hebrew": [(0x5D0, 0x5EA), (0x5B0, 0x5BC)],
    "devanagari": [(0x905, 0x939), (0x93E, 0x94D), (0x966, 0x96F)],
    "thai": [(0xE01, 0xE3A), (0xE40, 0xE4E), (0xE50, 0xE59)],
    "hangul": [(0xAC00, 0xD7A3)] * 4 + [(0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2)],
    "kana": [(0x3041, 0x3096), (0x30A1, 0x30FA), (0xFF66, 0xFF9D)],
    "han": [(0x4E00, 0x62FF)] * 4 + [(0x4E00, 0x9FA5)] * 3 + [(0x3400, 0x3420), (0x20000, 0x20040), (0xF900, 0xF920)],
    "armenian": [(0x561, 0x587), (0x531, 0x556)],
    "georgian": [(0x10D0, 0x10F0)],
    "deseret": [(0x10400, 0x1044F)],
}
MARKS = [(0x300, 0x345), (0x327, 0x328), (0x591, 0x5AF), (0x20D0, 0x20DC), (0x302A, 0x302D)]
DIGITS = [(0x30, 0x39)] * 8 + [(0x660, 0x669), (0x966, 0x96F), (0xFF10, 0xFF19), (0xB2, 0xB3), (0xBC, 0xBE), (0x2160, 0x2188), (0x2460, 0x2473)]
SYMBOLS = [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)] * 3 + [
    (0xA1, 0xAC), (0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20B5), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2500, 0x257F),
    (0x3001, 0x3011), (0xFF01, 0xFF0F), (0x2581, 0x2581), (0xFB00, 0xFB06), (0x2100, 0x214D), (0x3200, 0x321C), (0x1D400, 0x1D433)]
SPACES = [" "] * 12 + ["\n"] * 4 + ["\t"] * 2 + ["\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u2028", "\u000b", "\u000c", "\u0085", "\u200b", "\u00ad",
                                              "\ufeff", "\u200d", "\u2060", "\u180e", "\u1680", "\u202f"]
EMOJI = ["\U0001F600", "\U0001F44D", "\U0001F44D\U0001F3FD", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\u2764\ufe0f", "\U0001F1E9\U0001F1EA", "\U0001F389",
         "\u263a", "1\ufe0f\u20e3", "\U0001F680"]
WORDS = """the of and to in a is that it was for on are with as his they at be this from have or by one had not but what all were when we there can an your
which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than
first been its who now people my made over did down only way find use may water long little very after words called just where most know get through back
I'm don't We'LL it's you'd THEY'RE can't state-of-the-art na\u00efve caf\u00e9 r\u00e9sum\u00e9 Stra\u00dfe fa\u00e7ade \u0130stanbul \u03a3\u039f\u03a6\u039f\u03a3 \ufb01nal Gr\u00f6\u00dfe se\u00f1or tokenization antidisestablishmentarianism
supercalifragilistic HTTPResponse getElementById snake_case_name CamelCase kebab-case 3.14159 1,000,000 0xDEADBEEF 1e-10 2024-01-02 12:30:45 v2.0.1 C++20
\u4eba\u5de5\u667a\u80fd \u6a21\u578b \u4e2d\u56fd \u4eca\u5929 \u5929\u6c14 \u4f60\u597d \u6211\u4eec \u5b66\u4e60 \u673a\u5668 \u7684 \u662f \u5728 \u4e86 \u6709 \u548c \u6771\u4eac \u65e5\u672c\u8a9e \u3053\u3093\u306b\u3061\u306f \u3042\u308a\u304c\u3068\u3046 \ud55c\uad6d\uc5b4 \uc548\ub155\ud558\uc138\uc694 \u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u043c\u043e\u0434\u0435\u043b\u044c \u043c\u0430\u0448\u0438\u043d\u043d\u043e\u0435 \u043e\u0431\u0443\u0447\u0435\u043d\u0438\u0435
\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35""".split()
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}", "if x == 'a' and not y:", "SELECT * FROM t WHERE id = 42;", "<div class=\"a\">b</div>",
        "#include <vector>\n", "{\"key\": [1, 2.5, null, \"v\\n\"]}", "https://example.com/a/b?c=d&e=%20f#g", "user.name+tag@example.org", "C:\\Windows\\System32", "/usr/local/bin",
        "$ git commit -m \"fix: it's\"", "x = y ?? z?.w; // see below", "```python\nprint('hi')\n```", "\\frac{a}{b} = \\sum_{i=0}^{n} x_i^2", "a->b::c<D&>(e)...", "=====", "/* --- */", "&amp;&lt;"]


def pick(rng, ranges):
    low, high = ranges[rng.randrange(len(ranges))]
    return chr(rng.randint(low, high))


def word(rng):
    script = SCRIPTS[rng.choice(list(SCRIPTS))]
    return "".join(pick(rng, script) for _ in range(rng.randint(1, 8)))


def special(rng, tokens):
    """A token's own spelling; whole, or cut, doubled, in other letters, glued."""
    token = rng.choice(tokens) if tokens else "<|end|>"
    how = rng.randrange(6)
    if how == 0:
        return token[: rng.randint(0, len(token))]
    if how == 1:
        return token + token
    if how == 2:
        return token.upper()
    if how == 3:
        return rng.choice([" ", "\n", "  ", "a", "\u2581"]) + token + rng.choice([" ", "\n", "  ", "b", ""])
    return token


def piece(rng, tokens):
    how = rng.random()
    if how < 0.34:
        return rng.choice(WORDS)
    if how < 0.48:
        return word(rng)
    if how < 0.56:
        return "".join(pick(rng, DIGITS) for _ in range(rng.randint(1, 6)))
    if how < 0.66:
        return "".join(pick(rng, SYMBOLS) for _ in range(rng.randint(1, 4)))
    if how < 0.72:
        return rng.choice(CODE)
    if how < 0.77:
        return pick(rng, SCRIPTS["latin"]) + "".join(pick(rng, MARKS) for _ in range(rng.randint(1, 3)))
    if how < 0.81:
        return rng.choice(EMOJI) * rng.randint(1, 2)
    if how < 0.85:
        return rng.choice(["a", "-", "=", "\u4e00", "\n", " ", "e\u0301", "0", "\u2581", "\t", "!"]) * rng.randint(2, 40)
    if how < 0.89:
        return special(rng, tokens)
    if how < 0.91:
        return chr(rng.choice([0, 1, 7, 8, 0x1B, 0x7F, 0x80, 0x9F, 0xFFFD, 0xFFFE, 0xE000, 0x10FFFD, 0xFFFF]))
    if how < 0.92:  # any code point, assigned or not
        code = rng.choice([rng.randrange(0x80, 0xD800), rng.randrange(0xE000, 0x10000), rng.randrange(0x10000, 0x32400), rng.randrange(0xE0000, 0xE0200)])
        return chr(code) * rng.randint(1, 2)
    if how < 0.94:
        return rng.choice(WORDS).swapcase()
    return "".join(pick(rng, SCRIPTS[rng.choice(list(SCRIPTS))]) for _ in range(rng.randint(1, 3)))


def text(seed, number, tokens=()):
    rng = random.Random(seed * 1_000_003 + number)
    count = min(1 + int(rng.expovariate(0.22)), 60)
    glue = rng.random()  # how often pieces stand apart
    out = []
    for _ in range(count):
        out.append(piece(rng, tokens))
        if rng.random() < glue:
            out.append(rng.choice(SPACES) * (1 if rng.random() < 0.8 else rng.randint(2, 6)))
    return "".join(out)
