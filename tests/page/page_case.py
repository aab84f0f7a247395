"""What the tests of the page have in common: one server and one browser for all, a fresh page for each."""

import re
import unittest

from browser import open_browser
from stage import Corbel, Stage

PROGRAM = None  # set by check_page.py
PLACES = {}


def start(program):
    """None, or why nothing can be tested."""
    global PROGRAM
    PROGRAM = program
    playwright, browser, why_not = open_browser()
    if why_not:
        return why_not
    PLACES.update(playwright=playwright, browser=browser, corbel=Corbel(program))
    return None


def finish():
    PLACES["browser"].close()
    PLACES["playwright"].stop()
    assert PLACES["corbel"].stop() == 0


class PageCase(unittest.TestCase):
    """Every test also checks that the page asked nobody but its server, and that the browser had nothing to complain of."""

    width, height = 1300, 860
    options = {}
    expects_errors = False

    def setUp(self):
        self.stage = Stage(PLACES["corbel"].port)
        self.context = PLACES["browser"].new_context(viewport={"width": self.width, "height": self.height}, accept_downloads=True, **self.options)
        self.context.set_default_timeout(15000)
        self.asked, self.complaints = [], []
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def tearDown(self):
        self.context.close()
        self.stage.close()
        outside = [url for url in self.asked if not url.startswith((self.stage.url, "blob:", "data:"))]
        self.assertEqual(outside, [])
        # That an answer had another status than 200 is told by browsers, too: tests that make errors expect it.
        bad = [text for text in self.complaints if not re.search(r"Failed to load resource", text)]
        self.assertEqual(bad, [])

    def open(self, ready=True):
        self.page.goto(self.stage.url)
        if ready:
            self.page.wait_for_selector('.dot[data-state="ok"]')
        return self.page

    def ask(self, text, count=None):
        """Sends a message and waits for the end of its answer; the answer's element."""
        before = self.page.locator(".message").count()
        self.page.fill("#composer-text", text)
        self.page.keyboard.press("Enter")
        return self.settled(before + 2 if count is None else count)

    def settled(self, count):
        """The last message when there are `count` and none is coming."""
        last = self.page.locator(".message").nth(count - 1)
        last.wait_for()
        self.page.locator(".message.running").wait_for(state="detached")
        return last

    def answer_with(self, answer):
        self.stage.answers["/v1/chat/completions"] = answer
        return answer

    def bodies(self):
        """The questions that the server got."""
        import json
        return [json.loads(body) for method, path, _, body in self.stage.seen if path == "/v1/chat/completions"]
