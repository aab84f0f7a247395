#!/usr/bin/env python3
"""What `make package` makes: a tarball that runs wherever it is unpacked, a .deb with what it needs; `make install` and `uninstall`.

  usage: check_package.py ROOT BUILD
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

ROOT, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
HAS_PICO = (ROOT / "share/pico/model.safetensors").exists()


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True, timeout=300, **options)


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.at = Path(cls.folder.name)
        # A tarball always; a .deb where the tools are that look for its dependencies.
        generators = "TGZ;DEB" if shutil.which("dpkg-shlibdeps") else "TGZ"
        done = run("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", generators, "-B", cls.at)
        assert done.returncode == 0, done.stdout + done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def answers(self, command):
        """With nothing of this user's surroundings."""
        bare = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        done = run(command, "run", "--max-tokens", "4", "What is prefill?", env=bare, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        server = subprocess.Popen([str(command), "serve", "--port", "0"], env=bare, cwd="/", stderr=subprocess.PIPE, text=True)
        try:
            line = ""
            while "serving" not in line:
                line = server.stderr.readline()
                self.assertTrue(line, "the server ended")
            port = re.search(r":(\d+) after", line).group(1)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=20) as answer:
                self.assertEqual(json.load(answer)["data"][0]["id"], "pico")
        finally:
            server.terminate()
            self.assertEqual(server.wait(timeout=60), 0)
            server.stderr.close()

    @unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
    def test_the_tarball_runs_wherever_it_is_unpacked(self):
        target = self.at / "some where" / "else"
        target.mkdir(parents=True)
        tarball, = self.at.glob("*.tar.gz")
        self.assertEqual(run("tar", "-xzf", tarball, "-C", target).returncode, 0)
        command, = target.glob("*/bin/corbel")
        self.answers(command)

    def test_the_deb_names_what_it_needs_and_holds_the_unit(self):
        found = list(self.at.glob("*.deb"))
        if not found:
            self.skipTest("there is no dpkg-shlibdeps")
        control = run("dpkg-deb", "--field", found[0]).stdout
        for library in ("libc6", "libssl3", "libseccomp2", "libcurl4", "libpcre2-8-0", "libedit2", "libstdc++6"):
            self.assertIn(library, control)
        listing = run("dpkg-deb", "--contents", found[0]).stdout
        for path in ("./usr/bin/corbel", "./usr/lib/systemd/system/corbel.service", "./usr/share/corbel/pico/config.json", "./usr/share/doc/corbel/deploy/grafana/corbel.json"):
            self.assertIn(path + "\n", listing)
        self.assertEqual(re.findall(r"^-\S+ (?!root/root)\S+", listing, re.MULTILINE), [])

    def test_what_is_installed_can_be_uninstalled_without_a_trace(self):
        for stage, prefix in (("", str(self.at / "own prefix")), (str(self.at / "stage"), "/usr"), (str(self.at / "stage"), "/opt/corbel")):
            Path(stage + "/").mkdir(exist_ok=True)
            environment = {**os.environ, "DESTDIR": stage}
            done = run("cmake", "--install", BUILD, "--component", "command", "--prefix", prefix, env=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(Path(stage + prefix, "bin/corbel").exists())
            done = run("make", "-C", ROOT, "uninstall", f"PREFIX={prefix}", f"DESTDIR={stage}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse(Path(stage + prefix).exists(), tree(stage + prefix))
            if stage:
                self.assertEqual(tree(stage), [])

    def test_what_is_anothers_stays(self):
        prefix = self.at / "shared"
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin/theirs").write_text("x")
        self.assertEqual(run("cmake", "--install", BUILD, "--component", "command", "--prefix", prefix).returncode, 0)
        self.assertEqual(run("make", "-C", ROOT, "uninstall", f"PREFIX={prefix}").returncode, 0)
        self.assertEqual(tree(prefix), ["bin", "bin/theirs"])

    def test_systemd_takes_the_unit_and_finds_little_exposed(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("there is no systemd-analyze")
        unit = self.at / "corbel.service"
        unit.write_text((ROOT / "deploy/corbel.service").read_text().replace("ExecStart=corbel", f"ExecStart={BUILD}/corbel"))
        done = run("systemd-analyze", "verify", "--man=no", unit)
        self.assertEqual((done.returncode, done.stderr.strip()), (0, ""))
        exposure = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit).stdout
        self.assertLessEqual(float(re.search(r"exposure level for \S+: ([0-9.]+)", exposure).group(1)), 1.5)


if __name__ == "__main__":
    for tool, package in (("dpkg-shlibdeps", "dpkg-dev"), ("systemd-analyze", "systemd")):
        if not shutil.which(tool):
            print(f"skipped what needs {tool} (Debian: {package})")
    unittest.main(argv=sys.argv[:1])
