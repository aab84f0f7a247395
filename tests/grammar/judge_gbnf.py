"""Random grammars in llama.cpp's notation, and a matcher of its own: every way to match, by sets of ends. Grammars are made as
trees and printed; nothing here reads the notation."""
import sys

LETTERS = "ab(c\u00e9\u20ac 1\n\"]"
CLASSES = [("[ab]", "ab"), ("[^a]", None), ("[a-c1]", "abc1"), ("[\u00e0-\u00ff]", "\u00e9"), (r"[\n\t ]", "\n "), (r"[\]\"(]", "](\""), (r"[\x61\u20AC]", "a\u20ac")]


def escaped(text):
    return "".join({"\n": r"\n", '"': r"\"", "\\": r"\\"}.get(c, c) for c in text)


class RandomGrammar:
    def __init__(self, rng):
        self.rng = rng
        self.names = ["root"] + [rng.choice(["r", "x-", "a_b"]) + str(i) for i in range(rng.randrange(5))]
        self.rules = {name: self.node(number, 0, False) for number, name in enumerate(self.names)}

    def node(self, rule, depth, behind):
        """`behind`: something that is not empty stands in front, so that any rule may be called."""
        rng = self.rng
        kind = rng.randrange(11 if depth < 4 else 4)
        if kind == 0:
            spelled, members = rng.choice(CLASSES)
            return ("chars", spelled, members)
        if kind == 1:
            return ("chars", ".", "any")
        if kind == 2:
            return ("text", "".join(rng.choice(LETTERS) for _ in range(rng.randrange(0, 4))))
        if kind == 3:
            choices = self.names if behind else self.names[rule + 1:]
            return ("rule", rng.choice(choices)) if choices else ("text", "b")
        if kind <= 6:
            parts = []
            for _ in range(rng.randrange(1, 4)):
                parts.append(self.node(rule, depth + 1, behind))
                behind = behind or parts[-1][0] == "chars" or (parts[-1][0] == "text" and parts[-1][1] != "")
            return ("all", parts)
        if kind <= 8:
            return ("any", [self.node(rule, depth + 1, behind) for _ in range(rng.randrange(1, 4))])
        least, most = rng.choice([(0, None), (1, None), (0, 1), (2, 2), (1, 3), (0, 2), (2, None)])
        return ("repeat", self.node(rule, depth + 1, behind), least, most)

    def printed(self, node, inside=True):
        rng = self.rng
        if node[0] == "chars":
            return node[1]
        if node[0] == "text":
            return f'"{escaped(node[1])}"'
        if node[0] == "rule":
            return node[1]
        gap = rng.choice([" ", "  ", "\t"]) if not inside or rng.random() < 0.8 else "\n  # more\n "
        if node[0] == "all":
            return "(" + gap.join(self.printed(part) for part in node[1]) + ")"
        if node[0] == "any":
            return "(" + (gap + "|" + gap).join(self.printed(part) for part in node[1]) + ")"
        mark = {(0, None): "*", (1, None): "+", (0, 1): "?", (2, 2): "{2}", (1, 3): "{1,3}", (0, 2): "{0,2}", (2, None): "{2,}"}[node[2:]]
        return self.printed(node[1]) + mark

    def text(self):
        rules = list(self.rules.items())
        self.rng.shuffle(rules)
        return "# made\n" + "\n".join(f"{name} ::= {self.printed(body)}  # {name}" for name, body in rules) + "\n"

    def sample_text(self):
        self.left = 300  # steps: trees grow fast
        return self.sample(self.rules["root"], 14)

    def sample(self, node, budget):
        """A text of a node, or None where it grows too long."""
        rng = self.rng
        self.left -= 1
        if budget <= 0 or self.left <= 0:
            return None
        if node[0] == "chars":
            if node[2] == "any":
                return rng.choice(LETTERS)
            return rng.choice(node[2] if node[2] is not None else "bc\n\u20ac")
        if node[0] == "text":
            return node[1]
        if node[0] == "rule":
            return self.sample(self.rules[node[1]], budget - 1)
        if node[0] == "any":
            return self.sample(rng.choice(node[1]), budget - 1)
        parts = node[1] if node[0] == "all" else [node[1]] * min(node[2] + rng.randrange(3), node[3] if node[3] is not None else 9)
        texts = []
        for part in parts:
            text = self.sample(part, budget - 1)
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)

    def matches(self, text):
        known = {}

        def ends(node, at):
            key = (id(node), at)
            if key not in known:
                known[key] = find(node, at)
            return known[key]

        def find(node, at):
            if node[0] == "chars":
                if at == len(text):
                    return set()
                c = text[at]
                good = node[2] == "any" or (c != "a" if node[2] is None else c in node[2] or ("\u00e0" <= c <= "\u00ff" and node[1].startswith("[\u00e0"))
                                            or (c == "\t" and node[1].startswith(r"[\n")))
                return {at + 1} if good else set()
            if node[0] == "text":
                return {at + len(node[1])} if text.startswith(node[1], at) else set()
            if node[0] == "rule":
                return ends(self.rules[node[1]], at)
            if node[0] == "any":
                return set().union(*(ends(part, at) for part in node[1]))
            if node[0] == "all":
                here = {at}
                for part in node[1]:
                    here = set().union(*(ends(part, place) for place in here)) if here else here
                return here
            here, reached, count, found = {at}, set(), 0, set()
            while here:
                if count >= node[2]:
                    new = here - reached
                    reached |= new
                    found |= here
                    here = new
                if count == node[3]:
                    break
                count += 1
                here = set().union(*(ends(node[1], place) for place in here)) if here else here
            return found

        return len(text) in ends(self.rules["root"], 0)


def judge_grammars(judge, rng, count):
    sys.setrecursionlimit(100_000)
    for number in range(count):
        grammar = RandomGrammar(rng)
        text = grammar.text()
        texts = [sample for sample in (grammar.sample_text() for _ in range(12)) if sample is not None and len(sample) < 60]
        for sample in texts[:8]:
            at = rng.randrange(len(sample) + 1)
            texts.append(sample[:at] + rng.choice(LETTERS) + sample[at + rng.randrange(2):])
        texts += ["".join(rng.choice(LETTERS) for _ in range(rng.randrange(5))) for _ in range(10)]
        judge.count["grammars"] += 1
        answer = judge.probe.ask(kind="gbnf", text=text, instances=texts, walks=6, seed=number + 1)
        if "error" in answer:
            if "no text satisfies" not in answer["error"] and "may begin with itself" not in answer["error"]:
                judge.fail(f"grammar {text!r}: {answer['error']}")
            judge.count["grammars refused"] += 1
            continue
        if "fault" in answer:
            judge.fail(f"grammar {text!r}: {answer['fault']}")
        for sample, accepted in zip(texts, answer["accepted"]):
            judge.count["grammar texts"] += 1
            judge.count["of them accepted"] += accepted
            if accepted != grammar.matches(sample):
                judge.fail(f"grammar {text!r}: {sample!r} is {'accepted' if accepted else 'not accepted'}")
        for written in answer["walks"]:
            if len(written) > 400 or "\ufffd" in written:
                continue
            judge.count["grammar walks"] += 1
            if not grammar.matches(written):
                judge.fail(f"grammar {text!r}: wrote {written!r}")
