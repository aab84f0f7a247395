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
I'm don't We'LL it's you'd THEY'RE can't state-of-the-art naïve café résumé Straße façade İstanbul ΣΟΦΟΣ ﬁnal Größe señor tokenization antidisestablishmentarianism
supercalifragilistic HTTPResponse getElementById snake_case_name CamelCase kebab-case 3.14159 1,000,000 0xDEADBEEF 1e-10 2024-01-02 12:30:45 v2.0.1 C++20
人工智能 模型 中国 今天 天气 你好 我们 学习 机器 的 是 在 了 有 和 東京 日本語 こんにちは ありがとう 한국어 안녕하세요 привет мир модель машинное обучение
مرحبا بالعالم שלום עולם नमस्ते दुनिया สวัสดี""".split()
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}", "if x == 'a' and not y:", "SELECT * FROM t WHERE id = 42;", "<div class=\"a\">b</div>",
        "#include <vector>\n", "{\"key\": [1, 2.5, null, \"v\\n\"]}", "https://example.com/a/b?c=d&e=%20f#g", "user.name+tag@example.org", "C:\\Windows\\System32", "/usr/local/bin",
        "$ git commit -m \"fix: it's\"", "x = y ?? z?.w; // TODO", "```python\nprint('hi')\n```", "\\frac{a}{b} = \\sum_{i=0}^{n} x_i^2", "a->b::c<D&>(e)...", "=====", "/* --- */", "&amp;&lt;"]


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
