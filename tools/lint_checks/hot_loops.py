"""Stack references in the hot loops of kernels: what a compiler spilled, seen in the objects it made.

A tile of accumulators must live in registers. Compilers do not say when it does not (GCC 12 spills the vpdpbusd tile as soon as
one register too many is alive), the result stays right, and the loop is slower by a third: so every kernel object is disassembled.
A hot loop is an innermost loop that multiplies and adds vectors; in it, each operand in the stack frame is a stack reference.
"""
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lint_checks import Finding, Tree
from lint_checks.objects import kernel_objects

# What makes a loop hot: dot products and packed fused multiply-adds. Scalar tails (...ss, ...sd) are not.
MULTIPLIES = re.compile(r"v?pmaddubsw|v?pmaddwd|vpdp\w+|vdpbf16ps|tdp\w+|vfn?m(?:add|sub)\w*p[sd]")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(?:(?:rep|repz|lock|bnd|notrack|data16|cs|ds) )*(\S+)(?: +(.*?))?(?:\s+#.*)?$")
NO_WAY_ON = ("jmp", "ret", "ud2", "hlt")
JUMP = re.compile(r"^([0-9a-f]+)(?: <|$)")


@dataclass(frozen=True)
class Allowance:
    levels: str  # an expression for the whole name of the level
    function: str  # one for the function's whole name, without namespaces and arguments
    references: int  # in one pass of the loop, at most
    why: str
    calls: bool = False  # whether it is about loops that call a function or about those that do not


# The one table. An entry that nothing needs any more is told, too.
ALLOWED = (
    Allowance("v3", r"sum_tile<.*>|score_group<\d>|add_values_tail|add_all_values<\d>", 17,
              "the last columns, once per row: they are copied into a padded vector by a function", calls=True),
    Allowance("v3", r"sum_tile<Bf16Split, 2, 2, .*>", 2,
              "8 sums and 8 halves of weights on 16 registers: one sum of 8 stays in memory, 16 multiply-adds hide it"),
    Allowance("v3", r"sum_tile<Bf16Split, 1, 4, true, false>", 4,
              "a single row waits for memory, and 2 of its 8 sums stay in the first-level cache"),
    Allowance("v3", r"score_group<2>", 6, "16 sums, 2 of x and 1 of keys on 16 registers: 3 sums stay in memory"),
    Allowance("v3", r"attend|soften", 10, "constants of the polynomial for exp: 16 registers do not hold them beside two values"),
    Allowance("v3", r"apply_function", 15, "constants of the polynomials, as above; element by element, waits for memory"),
    Allowance("avx512|avx512bf16", r"(panel_of_rows|dot_panel)<(Pairs|Split), \d+>", 100,
              "fp8: sums of a group come from the tile, which lives in registers, by memory: once per 128 columns", calls=True),
    Allowance("v3", r"(panel_of_rows|dot_panel)<Split, \d+>", 30, "fp8: sums of a group, as above", calls=True),
    Allowance("avx512bf16", r"direct_of_rows<[478]>", 10,
              "fp8: addresses of four strips and sums of a group between two, per 28 to 32 multiply-adds; waits for memory"),
    Allowance("avx512|avx512bf16", r"run_flushed<SplitStrips, [1236], false>|run_pass<Bf16Columns, 3, true>", 20,
              "bf16 strips without the instruction for pairs, and odd numbers of rows: lanes of x kept in memory"),
    Allowance("v3", r"run_flushed<SplitStrips, [12], false>|run_pass<(Bf16|F16)Columns, 1, false>", 8,
              "strips of floats on 16 registers: lanes of x kept in memory"),
    Allowance("avx512|avx512bf16", r"Int8Call::add_block", 3, "weights of a few rows, loaded once per 32 multiply-adds"),
    Allowance("v2|v3", r"attend_chunk<Int8Call>|score_integer_bricks<\d, 1>|add_integer_values<\d, 1>", 16,
              "integer sums of 16 lanes take all of 16 registers: one row's stay in memory"),
    Allowance("avx512|avx512bf16", r"soften", 1, "a scale, loaded once per 8 multiply-adds"),
    Allowance("v3", r"dot_codes<Codes<[56], .*>, 4>|dot_some_blocks<Counted<.*>, [34]>", 6,
              "unpacking of 5 and 6 bits beside four rows on 16 registers: a table, or sums of floats that are used once a group"),
    Allowance("avx512|avx512bf16", r"dot_strips_wide<Indexed<.*>, \d+>", 8,
              "vectors of unpacking beside up to 16 sums: each loaded once per 16 and more dot products, the sums stay"),
    Allowance("avx512|avx512bf16", r"encode_indexed_rows<.*>", 2, "a table of scales by group, and a value kept for after the loop: nothing is added up"),
)


@dataclass
class Instruction:
    address: int
    name: str
    operands: str
    target: int | None = None  # of a jump

    def refers_to(self, registers: str) -> bool:
        return self.name != "lea" and re.search(rf"\(%(?:{registers})\b", self.operands) is not None


@dataclass
class Function:
    name: str
    code: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True)
class HotLoop:
    function: str
    address: int
    multiplies: int
    references: int
    calls: bool  # in a function's call nothing stays in vector registers: the ABI saves none


def functions(listing: str) -> list[Function]:
    """Of what `objdump -d --no-show-raw-insn` prints."""
    found: list[Function] = []
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            found.append(Function(match[1]))
        elif found and (match := INSTRUCTION.match(line)):
            made = Instruction(int(match[1], 16), match[2], match[3] or "")
            if made.name.startswith("j") and (to := JUMP.match(made.operands)):
                made.target = int(to[1], 16)
            found[-1].code.append(made)
    return found


def blocks_of(code: list[Instruction]) -> tuple[list[range], list[list[int]]]:
    """Basic blocks as ranges of instructions, and for each block those it can go on to."""
    index = {instruction.address: i for i, instruction in enumerate(code)}
    starts = {0} | {index[i.target] for i in code if i.target in index}
    starts |= {i + 1 for i, instruction in enumerate(code[:-1]) if instruction.target is not None or instruction.name in NO_WAY_ON}
    order = sorted(starts)
    blocks = [range(begin, end) for begin, end in zip(order, [*order[1:], len(code)])]
    number = {block.start: n for n, block in enumerate(blocks)}
    after: list[list[int]] = []
    for n, block in enumerate(blocks):
        last = code[block[-1]]
        ways = [number[index[last.target]]] if last.target in index else []
        if last.name not in NO_WAY_ON and n + 1 < len(blocks):
            ways.append(n + 1)
        after.append(ways)
    return blocks, after


def dominators(after: list[list[int]]) -> list[int]:
    """For each block the nearest one that every way to it passes; -1 for the roots (Cooper, Harvey, Kennedy 2001)."""
    before: list[list[int]] = [[] for _ in after]
    for n, ways in enumerate(after):
        for way in ways:
            before[way].append(n)
    roots = [n for n in range(len(after)) if n == 0 or not before[n]]  # targets of jump tables have no way in that we see
    order, seen = [], set()
    for root in roots:
        stack = [(root, iter(after[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            n, ways = stack[-1]
            way = next((w for w in ways if w not in seen), None)
            if way is None:
                order.append(n)
                stack.pop()
            else:
                seen.add(way)
                stack.append((way, iter(after[way])))
    rank = {n: i for i, n in enumerate(order)}
    rank[-1] = len(order)
    nearest: dict[int, int] = {root: -1 for root in roots}

    def meet(a: int, b: int) -> int:
        while a != b:
            if rank[a] < rank[b]:
                a = nearest[a]
            else:
                b = nearest[b]
        return a

    changed = True
    while changed:
        changed = False
        for n in reversed(order):
            if n in roots:
                continue
            known = [b for b in before[n] if b in nearest]
            new = known[0]
            for b in known[1:]:
                new = meet(new, b)
            changed = changed or nearest.get(n) != new
            nearest[n] = new
    return [nearest.get(n, -1) for n in range(len(after))]


def loops(after: list[list[int]]) -> dict[int, set[int]]:
    """Natural loops: by their first block, all blocks that can reach a jump back to it without passing it."""
    nearest = dominators(after)
    before: list[list[int]] = [[] for _ in after]
    for n, ways in enumerate(after):
        for way in ways:
            before[way].append(n)

    def passes(first: int, n: int) -> bool:
        while n not in (first, -1):
            n = nearest[n]
        return n == first

    found: dict[int, set[int]] = {}
    for last, ways in enumerate(after):
        for first in ways:
            if not passes(first, last):
                continue
            body = found.setdefault(first, {first})
            open_ends = [last]
            while open_ends:
                n = open_ends.pop()
                if n not in body:
                    body.add(n)
                    open_ends += before[n]
    return found


def hot_loops(function: Function) -> list[HotLoop]:
    blocks, after = blocks_of(function.code)
    # %rbp is a frame only where the function made it one; elsewhere it is a register like any other.
    framed = any(i.name == "mov" and i.operands == "%rsp,%rbp" for i in function.code)
    registers = "rsp|rbp" if framed else "rsp"
    multiplies = [sum(MULTIPLIES.fullmatch(function.code[i].name) is not None for i in block) for block in blocks]
    hot = {first: body for first, body in loops(after).items() if any(multiplies[n] for n in body)}
    found = []
    for first, body in hot.items():
        if any(other < body for other in hot.values()):
            continue
        code = [function.code[i] for n in body for i in blocks[n]]
        found.append(HotLoop(function.name, function.code[blocks[first].start].address, sum(multiplies[n] for n in body),
                             sum(i.refers_to(registers) for i in code), any(i.name == "call" for i in code)))
    return found


def short_name(plain: str, level: str) -> str:
    """"void corbel::cpu::avx512::(anonymous namespace)::tile<2>(int)" is tile<2>."""
    plain = re.sub(rf"\(anonymous namespace\)::|\bcorbel::|\bcpu::|\b{level}::| \[clone [^]]*\]", "", plain)
    depth = 0
    for at, character in enumerate(plain):
        depth += (character == "<") - (character == ">")
        if character == "(" and depth == 0:
            plain = plain[:at]
            break
    return plain if "<" not in plain else re.sub(r"^[\w:&* ]* (?=\w+<)", "", plain)


def disassembled(path: Path) -> list[HotLoop]:
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(path)], check=True, capture_output=True, text=True).stdout
    return [loop for function in functions(listing) for loop in hot_loops(function)]


def judge(path: Path, level: str, allowed: tuple[Allowance, ...], used: set[Allowance]) -> list[Finding]:
    """What is above its allowance in one object; `used` gets the entries that something needed."""
    spilled = [loop for loop in disassembled(path) if loop.references > 0]
    plain = subprocess.run(["c++filt"], input="".join(f"{loop.function}\n" for loop in spilled), check=True, capture_output=True,
                           text=True).stdout.splitlines()
    found = []
    for loop, name in zip(spilled, plain):
        name = short_name(name, level)
        entry = next((a for a in allowed if a.calls == loop.calls and re.fullmatch(a.levels, level) and re.fullmatch(a.function, name)), None)
        if entry is not None:
            used.add(entry)
        if loop.references > (entry.references if entry else 0):
            limit = f"at most {entry.references} are allowed" if entry else "none is allowed"
            found.append(Finding(f"{path.name}+0x{loop.address:x}", f"level {level}: a hot loop of {name} refers to the stack {loop.references} times "
                                 f"for {loop.multiplies} multiply-adds, {limit} ({Path(__file__).name}); is its tile too large?"))
    return found


def stack_references(tree: Tree) -> list[Finding]:
    objects = kernel_objects(tree.build)  # where there are none, "isa leak" says so
    used: set[Allowance] = set()
    found = [finding for level, path in objects for finding in judge(path, level, ALLOWED, used)]
    if objects:
        found += [Finding(Path(__file__).name, f"nothing needs the allowance for {entry.function} at {entry.levels} any more", warning=True)
                  for entry in ALLOWED if entry not in used]
    return found


CHECKS = {"hot loops": stack_references}
