"""The page at / in a browser (Chromium, headless), against a real `corbel serve` and against answers of the tests' own.

  usage: check_page.py CORBEL SOURCE_FOLDER [TEST...]
"""
import pathlib
import sys
import unittest

import browser

if __name__ == "__main__":
    browser.use_scratch_python()
    import page_case
    HAS_PICO = (pathlib.Path(sys.argv[2]) / "share/pico/model.safetensors").exists()
    why_not = page_case.start(sys.argv[1]) if HAS_PICO else "no built-in model in this tree"
    if why_not:
        print(f"check_page.py: Skipped\n{why_not}")
        sys.exit(0)
    from chat_tests import *    # noqa: F401, F403
    from server_tests import *  # noqa: F401, F403
    from text_tests import *    # noqa: F401, F403
    from use_tests import *     # noqa: F401, F403
    del PageCase  # noqa: F821: not a test of its own
    done = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False)
    page_case.finish()
    sys.exit(0 if done.result.wasSuccessful() else 1)
