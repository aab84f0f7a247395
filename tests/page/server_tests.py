"""The page and a server that is loading, gone, locked; what runs there, and its model's card."""

import pathlib
import re
import signal
import tempfile
import threading
import urllib.error
import urllib.request

import page_case
from page_case import PageCase
from stage import Corbel, Stage, give_error, give_json, hang_up, whole_answer


class Server(PageCase):
    def test_while_the_model_loads_a_message_waits_and_goes_by_itself(self):
        loading = threading.Event()
        self.stage.answers["/health"] = lambda request: give_json(request, 503 if not loading.is_set() else 200, {"status": "ok" if loading.is_set() else "loading"})
        self.answer_with(whole_answer("here"))
        self.open(ready=False)
        self.page.locator("#banner", has_text="The model is being loaded").wait_for()
        self.page.fill("#composer-text", "Hello")
        self.page.keyboard.press("Enter")
        self.page.locator("#hint", has_text="goes as soon as the server is ready").wait_for()
        self.assertEqual(self.bodies(), [])
        loading.set()
        self.page.locator(".prose", has_text="here").wait_for()
        self.assertFalse(self.page.locator("#banner").is_visible())

    def test_an_example_is_asked_when_the_server_is_ready_and_not_before(self):
        loading = threading.Event()
        self.stage.answers["/health"] = lambda request: give_json(request, 503 if not loading.is_set() else 200, {"status": "ok" if loading.is_set() else "loading"})
        self.answer_with(whole_answer("here"))
        self.open(ready=False)
        self.page.locator(".example").first.click()
        self.page.locator("#hint", has_text="goes as soon as").wait_for()
        loading.set()
        self.page.locator(".prose", has_text="here").wait_for()

    def test_a_server_that_goes_away_is_named_and_found_again(self):
        self.open()
        self.stage.answers["/health"] = self.stage.answers["/v1/chat/completions"] = hang_up
        answer = self.ask("Hello")
        self.assertIn("The server does not answer", answer.inner_text())
        self.page.locator("#banner", has_text="does not answer").wait_for()
        self.stage.answers.clear()
        self.page.locator('.dot[data-state="ok"]').wait_for()
        answer.get_by_text("Try again").click()
        self.page.locator(".message.assistant .figures", has_text="tokens").wait_for()

    def test_the_live_panel_shows_the_batch_the_queue_and_the_cache(self):
        figures = {"running": 3, "waiting": 2, "most_running": 16, "steps": 10, "rows": 40, "generated_tokens": 1000, "preemptions": 1, "pages": 512,
                   "free_pages": 400, "prefix_pages": 12, "prefix_asked_tokens": 200, "prefix_hit_tokens": 50, "drafted_tokens": 10, "accepted_tokens": 5}

        def status(request):
            figures["generated_tokens"] += 80
            give_json(request, 200, {"object": "status", "version": "0", "uptime_seconds": 5, "memory": {"resident_bytes": 5e8, "limit_bytes": 1e9},
                                     "models": [{"id": "pico", "loaded": True, "engine": figures}]})
        self.stage.answers["/v1/status"] = status
        self.open()
        self.page.click("#tab-live")
        pane = self.page.locator("#pane-live")
        for text in ("3 of 16, 2 waiting", "100 used, 12 kept of 512", "25% of 200 tokens", "500 MB of 1.00 GB", "10, 50% right"):
            pane.get_by_text(text).wait_for()
        rate = pane.locator(".picture strong").first
        rate.filter(has_text=re.compile(r"^[5-8]\d$")).wait_for()  # 80 tokens in about a second
        self.assertRegex(pane.locator(".line").first.get_attribute("d"), r"^M[\d.,]+")

    def test_the_live_figures_are_the_servers_own(self):
        self.open()
        self.ask("What is a KV cache?")
        self.page.click("#tab-live")
        self.page.locator("#pane-live dd").first.wait_for()
        self.assertGreater(int(self.page.locator("#pane-live dd").first.inner_text().replace(",", "")), 0)
        self.assertRegex(self.page.locator("#pane-live .bar-text").nth(2).inner_text(), r"MB of [\d.]+ GB")

    def test_nobody_asks_for_live_figures_while_the_panel_is_closed(self):
        self.open()
        self.page.click("#tab-live")
        self.page.locator("#pane-live dd").first.wait_for()
        self.page.click("#panel-close")
        asked = len([one for one in self.stage.seen if one[1] == "/v1/status"])
        self.page.wait_for_timeout(1500)
        self.assertEqual(len([one for one in self.stage.seen if one[1] == "/v1/status"]), asked)

    def test_the_card_says_what_the_model_is(self):
        self.open()
        self.page.click("#tab-card")
        card = self.page.locator("#pane-card")
        for text in ("pico", "LlamaForCausalLM", "7.3 million in 8 layers", "bf16; 14.7 MB", "2,048 tokens here", "the model's own"):
            card.get_by_text(text).first.wait_for()
        self.assertIn('"model":"pico"', card.locator("pre").inner_text())

    def test_a_full_queue_is_told_in_the_servers_words(self):
        self.answer_with(give_error(429, "too many requests are waiting; come back later"))
        self.open()
        self.assertIn("too many requests are waiting", self.ask("Hello").inner_text())


KEY = "a-key-of-this-test"


def give_page(request, text):
    request.send_response(200)
    request.send_header("content-type", "text/html")
    request.send_header("content-length", str(len(text)))
    request.end_headers()
    request.wfile.write(text.encode())


def status_with(port, key):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {key}"})
    try:
        return urllib.request.urlopen(request, timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


class Locked(PageCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.keys = pathlib.Path(folder.name) / "keys"
        self.keys.write_text(KEY + "\n")
        self.corbel = Corbel(page_case.PROGRAM, "--api-key-file", str(self.keys))
        self.addCleanup(lambda: self.assertEqual(self.corbel.stop(), 0))
        self.stage.port_behind = self.corbel.port

    def open_with(self, password):
        """A fresh browser whose user answers its question for a name and a password."""
        self.context.close()
        credentials = {"username": "anybody", "password": password, "origin": self.stage.url.rstrip("/")}
        self.context = page_case.PLACES["browser"].new_context(http_credentials=credentials)
        self.context.set_default_timeout(15000)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return self.page.goto(self.stage.url)

    def test_a_browser_without_a_key_gets_no_byte_of_the_page(self):
        response = self.open_with("wrong")
        self.assertEqual(response.status, 401)
        self.assertIn('Basic realm="corbel"', response.headers["www-authenticate"])
        self.assertNotIn("<title>", self.page.content())
        self.assertLessEqual({path for _, path, _, _ in self.stage.seen}, {"/", "/favicon.ico"})

    def test_a_key_as_the_browsers_password_opens_the_page_and_all_it_asks_for(self):
        self.assertEqual(self.open_with(KEY).status, 200)
        self.page.wait_for_selector('.dot[data-state="ok"]')
        self.assertIn("tokens", self.ask("What is a KV cache?").locator(".figures").inner_text())
        self.assertEqual(self.page.locator("dialog").count(), 0)
        self.page.reload()
        self.page.wait_for_selector('.dot[data-state="ok"]')
        self.assertNotIn(KEY, self.page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie"))
        asked = [headers.get("authorization", "") for method, path, headers, _ in self.stage.seen if path != "/health"]
        self.assertFalse([one for one in asked if one.startswith("Bearer")])

    def test_a_form_of_another_origin_does_not_ask_with_the_browsers_key(self):
        self.open_with(KEY)
        self.page.wait_for_selector('.dot[data-state="ok"]')
        other = Stage(self.corbel.port)  # another port: the same site, another origin
        self.addCleanup(other.close)
        form = f"""<form method=post enctype=text/plain action="{self.stage.url}v1/chat/completions">
            <input name='{{"max_tokens": 1, "messages": [{{"role": "user", "content": "hi' value='"}}]}}'></form>"""
        other.answers["/evil"] = lambda request: give_page(request, form)
        self.page.goto(other.url + "evil")
        with self.page.expect_response("**/v1/chat/completions") as answered:
            self.page.evaluate("document.forms[0].submit()")
        self.assertEqual(answered.value.status, 403)

    def test_a_key_that_was_replaced_is_asked_for_by_the_page_and_kept_for_the_tab_alone(self):
        self.open_with(KEY)
        self.page.wait_for_selector('.dot[data-state="ok"]')
        self.keys.write_text("another-key\n")
        self.corbel.process.send_signal(signal.SIGHUP)
        while status_with(self.corbel.port, "another-key") != 200:
            continue
        self.page.fill("#composer-text", "Hello")
        self.page.keyboard.press("Enter")
        self.page.locator("dialog").wait_for()
        self.page.fill("#key", "wrong")
        self.page.keyboard.press("Enter")
        self.page.get_by_text("does not know this key").wait_for()
        self.page.keyboard.press("Escape")
        self.page.get_by_text("Enter the key").click()
        self.page.fill("#key", "another-key")
        self.page.click("text=Use this key")
        self.page.wait_for_selector('.dot[data-state="ok"]')
        self.assertIn("tokens", self.ask("What is a KV cache?").locator(".figures").inner_text())
        self.assertNotIn("another-key", self.page.evaluate("JSON.stringify(localStorage) + document.cookie"))
