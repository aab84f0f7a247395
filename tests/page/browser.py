"""Chromium for the tests of this folder, by Playwright: whatever of both this machine has, or a reason why not."""

import os
import pathlib
import shutil
import sys

SCRATCH = pathlib.Path(os.environ.get("CORBEL_SCRATCH", pathlib.Path.home() / ".cache/corbel")) / "page-venv/bin/python"


def use_scratch_python():
    """Runs this program again with the Python of `make setup-e2e`, where this one has no Playwright."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        if SCRATCH.exists() and pathlib.Path(sys.executable) != SCRATCH:
            os.execv(SCRATCH, [str(SCRATCH), "-B", *sys.argv])


def open_browser():
    """(playwright, browser, None), or (None, None, why there is none)."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return None, None, "Python has no playwright; make setup-e2e installs it"
    playwright = sync_playwright().start()
    # Debian's Chromium where it is, else the one that Playwright has downloaded.
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        return playwright, playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else []), None
    except Error as error:
        playwright.stop()
        return None, None, f"no browser starts: {str(error).splitlines()[0]}; make setup-e2e installs one"
