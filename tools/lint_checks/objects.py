"""The ISA leak: a kernel object must not define anything that baseline code could be linked with.

An inline function compiled for AVX-512 is a weak symbol; the linker keeps one copy for the whole program, maybe that one,
and a machine without AVX-512 dies of it. So whatever a level's object shows must carry the level in its name.
"""
import re
import subprocess
from pathlib import Path

from lint_checks import Finding, Tree

# CMakeFiles/corbel_device_cpu_avx512.dir/...: corbel_kernels() names the target TARGET_LEVEL.
LEVEL_FOLDER = re.compile(r"^corbel_device_[a-z0-9]+_(\w+)\.dir$")
# References to the C++ runtime's own data, the same at every level.
ALLOWED = ("DW.ref.",)


def leaked_symbols(listing: str, level: str) -> list[str]:
    """Mangled names that an object (as `nm --defined-only` lists it) shows without the level in them."""
    component = f"{len(level)}{level}"
    leaked = []
    for line in listing.splitlines():
        words = line.split()
        if len(words) < 3 or words[-2] not in "TWVuBDRGS":
            continue
        if component not in words[-1] and not words[-1].startswith(ALLOWED):
            leaked.append(words[-1])
    return leaked


def kernel_objects(build: Path) -> list[tuple[str, Path]]:
    """(level, object) of every object that corbel_kernels() made in this build."""
    found = []
    for folder in sorted(build.glob("**/CMakeFiles/corbel_device_*.dir")):
        match = LEVEL_FOLDER.match(folder.name)
        if match and not folder.name.endswith("_test.dir"):
            found += [(match[1], path) for path in sorted(folder.glob("**/*.o"))]
    return found


def isa_leak(tree: Tree) -> list[Finding]:
    objects = kernel_objects(tree.build)
    if not objects:
        if any(path.startswith("corbel/device/cpu/kernels") for path in tree.code):
            return [Finding(str(tree.build), "no kernel objects here to look at; build first")]
        return []
    found = []
    for level, path in objects:
        listing = subprocess.run(["nm", "--defined-only", str(path)], check=True, capture_output=True, text=True).stdout
        for symbol in leaked_symbols(listing, level):
            plain = subprocess.run(["c++filt", symbol], check=True, capture_output=True, text=True).stdout.strip()
            found.append(Finding(path.name, f"level {level} defines \"{plain}\" outside its namespace"))
    return found


CHECKS = {"isa leak": isa_leak}
