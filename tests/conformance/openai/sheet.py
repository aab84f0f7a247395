"""Cases, what becomes of them, and the sheet that tells it."""
import json
import pathlib
import re
import time

AREAS = []
SPEC = json.loads((pathlib.Path(__file__).parent / "openapi_lines.json").read_text(encoding="utf-8"))


class Lost(Exception):
    """The server did not do what the cited line says."""

    def __init__(self, expected, found):
        super().__init__(f"expected {expected}, found {found}")
        self.expected, self.found = expected, shown(found)


class Unjudged(Exception):
    """This server and model give no chance to tell."""


def shown(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 300 else text[:300] + "..."


def expect(good, expected, found):
    if not good:
        raise Lost(expected, found)


def equal(found, wanted, what="it"):
    if found != wanted:
        raise Lost(f"{what} to be {shown(wanted)}", found)


class Area:
    """Cases about one thing. `probe(target)` says whether the server offers it; what OpenAI's specification has is lost when not
    offered, other areas do not count then."""

    def __init__(self, name, probe=None, of_spec=True):
        self.name, self.probe, self.of_spec, self.cases = name, probe, of_spec, []
        AREAS.append(self)

    def case(self, cites):
        """Adds a function of the target whose docstring or name is the sentence. `cites`: the line it checks, an object and field of
        OpenAI's openapi.yaml ("CreateChatCompletionRequest.n") or a section of another specification ("RFC 9112 3.2 ...")."""
        def add(function):
            if any(one.__name__ == function.__name__ for one, _ in self.cases):
                raise ValueError(f"{self.name}/{function.__name__} is there twice")
            self.cases.append((function, cites))
            return function
        return add


def is_openai(cites):
    return re.match(r"[A-Z][A-Za-z]+(\.[A-Za-z_\[\]]+)*$|(GET|POST) /", cites) is not None


def citation(cites):
    """With the line of openapi.yaml where there is one."""
    return f"openapi.yaml:{SPEC['lines'][cites]} {cites}" if is_openai(cites) else cites


class Verdict:
    def __init__(self, area, function, cites, state, expected="", found="", seconds=0.0):
        self.area, self.name, self.cites, self.state = area.name, function.__name__, cites, state
        self.counts = state in ("passed", "lost") or (state == "not offered" and area.of_spec)
        self.expected, self.found, self.seconds = expected, found, seconds

    def json(self):
        return {"area": self.area, "case": self.name, "cites": citation(self.cites), "state": self.state, "expected": self.expected,
                "found": self.found, "seconds": round(self.seconds, 3)}


def judge(area, function, cites, target):
    begin = time.monotonic()
    try:
        function(target)
        state = ("passed",)
    except Lost as lost:
        state = ("lost", lost.expected, lost.found)
    except Unjudged as reason:
        state = ("not judged", "", str(reason))
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        state = ("lost", "an answer that can be read", f"{type(error).__name__}: {shown(str(error))}")
    except Exception as error:  # WireError and what else a broken answer does
        state = ("lost", "an answer that can be read", f"{type(error).__name__}: {shown(str(error))}")
    return Verdict(area, function, cites, *state, seconds=time.monotonic() - begin)


def is_offered(area, target):
    try:
        return area.probe(target)
    except (OSError, ValueError, KeyError):
        return True  # its cases will tell


def run(target, only="", told=lambda verdict: None, revive=lambda: None):
    """[Verdict] of all cases whose area/name has `only` (a regular expression) in it. `revive()` is asked after each: how the server
    ended, where it did; it runs again then."""
    verdicts = []
    for area in AREAS:
        chosen = [case for case in area.cases if re.search(only, f"{area.name}/{case[0].__name__}")]
        if not chosen:
            continue
        offered = area.probe is None or is_offered(area, target)
        revive()
        for function, cites in chosen:
            verdict = judge(area, function, cites, target) if offered else Verdict(area, function, cites, "not offered")
            died = revive()
            if died is not None:
                verdict.state, verdict.counts, verdict.expected, verdict.found = "lost", True, "a server that goes on", f"its process ended: {died}"
            verdicts.append(verdict)
            told(verdict)
    return verdicts


def score(verdicts):
    """(points, of how many)"""
    return sum(one.state == "passed" for one in verdicts), sum(one.counts for one in verdicts)


def table(verdicts):
    lines = [f"{'area':<16} {'points':>6} {'of':>4} {'share':>6}  not offered  not judged"]
    names = list(dict.fromkeys(one.area for one in verdicts))
    for name in [*names, None]:
        rows = [one for one in verdicts if name in (one.area, None)]
        points, most = score(rows)
        share = f"{points / most:.0%}" if most else "-"
        if most and points < most and share == "100%":
            share = "99%"
        absent, unknown = (sum(one.state == state for one in rows) for state in ("not offered", "not judged"))
        lines.append(f"{name or 'all':<16} {points:>6} {most:>4} {share:>6}  {absent or '':>11}  {unknown or '':>10}".rstrip())
    return "\n".join(lines)


def losses(verdicts):
    lines = []
    for one in verdicts:
        if one.state == "lost":
            lines += [f"lost: {one.area}/{one.name}   {citation(one.cites)}", f"  expected {one.expected}", f"  found    {one.found}"]
        elif one.state == "not judged":
            lines.append(f"not judged: {one.area}/{one.name}   {one.found}")
    absent = [f"{one.area}/{one.name}" for one in verdicts if one.state == "not offered"]
    if absent:
        lines.append(f"not offered: {', '.join(absent)}")
    return "\n".join(lines)
