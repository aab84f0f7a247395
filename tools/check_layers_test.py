#!/usr/bin/env python3
"""The floor checker finds every kind of broken floor in a small tree, and nothing in a right one."""
import tempfile
import unittest
from pathlib import Path

import check_layers

TABLE = """\
floor 0 base
floor 1 tensor format(tensor) text
floor 2 ops
floor 3 device
floor 7 engine imaging
private device/cpu device/cuda
outside models 3
interface corbel 7
roof apps tests
"""


class Floors(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        (self.root / "layers.txt").write_text(TABLE, encoding="utf-8")

    def tearDown(self):
        self.folder.cleanup()

    def found(self, path: str, *included: str) -> list[str]:
        """What is said about `path` when it alone is in the tree and includes these."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#pragma once\n" + "".join(f'#include "{name}"\n' for name in included), encoding="utf-8")
        try:
            return [str(violation) for violation in check_layers.check(self.root)]
        finally:
            file.unlink()

    def test_lower_floors_and_the_own_folder_may_be_included(self):
        self.assertEqual(self.found("corbel/ops/a.h", "corbel/base/b.h", "corbel/tensor/c.h", "corbel/ops/d.h"), [])

    def test_a_higher_floor_is_refused_with_file_line_and_reason(self):
        self.assertEqual(self.found("corbel/base/a.h", "corbel/base/b.h", "corbel/ops/c.h"),
                         ['corbel/base/a.h:3: includes "corbel/ops/c.h": base is floor 0 and ops is floor 2; '
                          'a file sees lower floors only'])

    def test_rooms_of_one_floor_do_not_see_each_other(self):
        self.assertIn("rooms on one floor (7)", self.found("corbel/engine/a.cpp", "corbel/imaging/b.h")[0])

    def test_an_exception_holds_in_its_direction_only(self):
        self.assertEqual(self.found("corbel/format/a.h", "corbel/tensor/b.h"), [])
        self.assertEqual(len(self.found("corbel/tensor/a.h", "corbel/format/b.h")), 1)

    def test_a_private_device_is_closed_to_everybody_else(self):
        for path in ("corbel/engine/a.cpp", "corbel/device/a.cpp", "corbel/device/cuda/a.cpp", "models/x/x.cpp",
                     "apps/a.cpp", "tests/a_test.cpp"):
            self.assertIn("private", "".join(self.found(path, "corbel/device/cpu/b.h")), path)
        self.assertEqual(self.found("corbel/device/cpu/a.cpp", "corbel/device/cpu/b.h", "corbel/device/c.h"), [])

    def test_a_model_sees_its_own_room_and_the_floors_below_it(self):
        self.assertEqual(self.found("models/x/x.cpp", "corbel/device/a.h", "models/x/b.h"), [])
        self.assertIn("models/y is a model's own room", self.found("models/x/x.cpp", "models/y/y.h")[0])
        self.assertIn("models see floors 0 to 3", self.found("models/x/x.cpp", "corbel/engine/a.h")[0])

    def test_a_models_test_sees_every_floor_but_no_other_model(self):
        self.assertEqual(self.found("models/x/x_test.cpp", "corbel/engine/a.h"), [])
        self.assertEqual(len(self.found("models/x/x_test.cpp", "models/y/y.h")), 1)

    def test_the_library_includes_no_model_and_no_application(self):
        self.assertEqual(len(self.found("corbel/engine/a.cpp", "models/x/x.h")), 1)
        self.assertEqual(len(self.found("corbel/engine/a.cpp", "apps/a.h")), 0)  # not ours: apps/ is no include root
        (self.root / "apps").mkdir(exist_ok=True)
        (self.root / "apps/a.h").write_text("", encoding="utf-8")
        self.assertEqual(len(self.found("corbel/engine/a.cpp", "../../apps/a.h")), 1)

    def test_a_relative_include_cannot_leave_unseen(self):
        (self.root / "corbel/ops").mkdir(parents=True)
        (self.root / "corbel/ops/c.h").write_text("", encoding="utf-8")
        self.assertEqual(len(self.found("corbel/base/a.h", "../ops/c.h")), 1)

    def test_the_interface_stands_on_top(self):
        self.assertEqual(self.found("corbel/corbel.cpp", "corbel/engine/a.h"), [])
        self.assertIn("interface", self.found("corbel/engine/a.cpp", "corbel/corbel.h")[0])

    def test_a_room_that_the_table_does_not_know_is_refused(self):
        self.assertIn("no room of layers.txt", self.found("corbel/attic/a.cpp", "corbel/base/b.h")[0])

    def test_a_table_that_cannot_be_read_is_an_error(self):
        (self.root / "layers.txt").write_text("floor one base\n", encoding="utf-8")
        with self.assertRaises(check_layers.TableError):
            check_layers.check(self.root)


if __name__ == "__main__":
    unittest.main()
