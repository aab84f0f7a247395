#!/usr/bin/env python3
"""A model family from a folder outside the repository is found, built and loaded; one more rebuilds nothing but itself.

  usage: check.py ROOT BUILD BUILD_TYPE COMPILER

Builds in BUILD-external, beside the main build, so that the compiler cache gives back what was compiled there.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT, BUILD, BUILD_TYPE, COMPILER = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
EXTERNAL = BUILD.with_name(BUILD.name + "-external")
PROBE = EXTERNAL / "tests/external_model/external_model_probe"
CHECKPOINT = ROOT / "models/llama/goldens/mha_f32"


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True,
                          env={**os.environ, "CCACHE_NOHASHDIR": "1", "NINJA_STATUS": "[%f/%t] "})
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(str(word) for word in command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def add_family(models: Path, name: str) -> None:
    """Copies the family of this folder to models/name, under that name."""
    folder = models / name
    folder.mkdir(parents=True)
    text = (Path(__file__).parent / "elsewhere/elsewhere.cpp").read_text(encoding="utf-8")
    text = text.replace("elsewhere", name).replace("Elsewhere", name.capitalize())
    (folder / f"{name}.cpp").write_text(text, encoding="utf-8")


def add_checkpoint(folder: Path, architecture: str) -> Path:
    shutil.copytree(CHECKPOINT, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = [architecture]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


class ExternalModel(unittest.TestCase):
    def test_a_family_outside_is_built_and_a_second_one_rebuilds_only_itself(self):
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder) / "models"
            add_family(models, "elsewhere")
            run("cmake", "-S", ROOT, "-B", EXTERNAL, "-G", "Ninja", f"-DCMAKE_BUILD_TYPE={BUILD_TYPE}",
                f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCORBEL_MODELS_DIRS={models}")
            run("ninja", "-C", EXTERNAL, "-j2", "external_model_probe")
            self.assertEqual(run(PROBE, add_checkpoint(Path(folder) / "a", "ElsewhereForCausalLM")).split()[0], "elsewhere")

            add_family(models, "second")
            said = run("ninja", "-C", EXTERNAL, "-j2", "external_model_probe")
            built = re.findall(r"^\[\d+/\d+\] (?:Building|Linking) .* (\S+)$", said, re.MULTILINE)
            self.assertEqual({Path(path).name for path in built},
                             {"second.cpp.o", "libcorbel_model_second.a", "model_list.cpp.o", "libcorbel_model_list.a",
                              "external_model_probe"}, said)
            self.assertEqual(run(PROBE, add_checkpoint(Path(folder) / "b", "SecondForCausalLM")).split()[0], "second")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
