"""The conformance suite against `corbel serve`, and against servers that are spoiled on purpose.

  usage: check.py CORBEL SOURCE_FOLDER
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cases  # noqa: E402  fills sheet.AREAS
import sheet  # noqa: E402
from faults import FAULTS, none  # noqa: E402
from faulty import Proxy  # noqa: E402
from target import Target  # noqa: E402

CORBEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
HAS_PICO = (SOURCE / "share/pico/model.safetensors").exists()
KEY = "sk-Conformance-7"


class Server:
    """corbel serve with the built-in model, one key, and a free port."""

    def __init__(self):
        self.keys = tempfile.NamedTemporaryFile("w", suffix=".keys")
        self.keys.write(KEY + "\n")
        self.keys.flush()
        self.process = subprocess.Popen([CORBEL, "serve", "--port", "0", "--threads", "2", "--api-key-file", self.keys.name],
                                        stderr=subprocess.PIPE, text=True)
        line = ""
        while "serving" not in line:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"the server ended with {self.process.wait()}")
        self.url = re.search(r"http://[\d.]+:\d+", line)[0]

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stderr.close()
        self.keys.close()
        return code


@unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    def lost(self, url, only):
        """{(area, name): verdict} of what is lost there and not by the server itself."""
        verdicts = sheet.run(Target(url, KEY, timeout=10), only)
        return {(one.area, one.name): one for one in verdicts if one.state == "lost" and (one.area, one.name) not in self.lost_by_itself()}

    @classmethod
    def lost_by_itself(cls):
        if cls.by_itself is None:
            used = "|".join(sorted({fault.only for fault in FAULTS.values()}))
            cls.by_itself = {(one.area, one.name) for one in sheet.run(Target(cls.server.url, KEY, timeout=10), used) if one.state == "lost"}
        return cls.by_itself

    by_itself = None

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def test_the_suite_has_at_least_150_cases_each_with_a_citation(self):
        all_cases = [(area.name, function.__name__, cites) for area in sheet.AREAS for function, cites in area.cases]
        self.assertGreaterEqual(len(all_cases), 150)
        for area, name, cites in all_cases:
            self.assertTrue(sheet.citation(cites), f"{area}/{name}")

    def test_corbel_makes_every_point(self):
        verdicts = sheet.run(Target(self.server.url, KEY, timeout=30))
        points, most = sheet.score(verdicts)
        print(f"{points} of {most} points, {len(verdicts)} cases", file=sys.stderr)
        if points != most:
            self.fail("\n" + sheet.losses(verdicts) + "\n" + sheet.table(verdicts))

    def test_each_of_at_least_30_faults_loses_points(self):
        self.assertGreaterEqual(len(FAULTS), 30)
        begin, unseen = time.monotonic(), []
        for name, fault in FAULTS.items():
            with Proxy(self.server.url, fault) as proxy:
                if not self.lost(proxy.url, fault.only):
                    unseen.append(name)
        print(f"{len(FAULTS)} faults in {time.monotonic() - begin:.1f} s", file=sys.stderr)
        self.assertEqual(unseen, [], "faults that nothing noticed")

    def test_a_proxy_that_spoils_nothing_loses_nothing(self):
        used = "|".join(sorted({fault.only for fault in FAULTS.values()}))
        with Proxy(self.server.url, none()) as proxy:
            changed = self.lost(proxy.url, used)
        self.assertFalse(changed, "\n" + sheet.losses(changed.values()))



if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
