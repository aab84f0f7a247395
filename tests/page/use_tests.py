"""Conversations, keys, colours, narrow screens."""

import json
import re

from page_case import PageCase
from stage import Stream, whole_answer


class Conversations(PageCase):
    def setUp(self):
        super().setUp()
        self.answer_with(lambda request: whole_answer("answer to " + json.loads(request.text)["messages"][-1]["content"])(request))

    def two(self):
        self.open()
        self.ask("about cats")
        self.page.click("#new-chat")
        self.ask("about dogs")

    def titles(self):
        return self.page.locator(".conversation").all_inner_texts()

    def test_conversations_are_there_after_a_reload_newest_first(self):
        self.two()
        self.page.reload()
        self.page.locator(".message", has_text="answer to about dogs").wait_for()
        self.assertEqual(self.titles(), ["about dogs", "about cats"])
        self.page.click("text=about cats")
        self.page.locator(".message", has_text="answer to about cats").wait_for()
        self.assertEqual(self.page.locator(".conversation[aria-current]").inner_text(), "about cats")

    def test_the_search_looks_into_messages(self):
        self.two()
        self.page.fill("#search", "ANSWER TO ABOUT C")
        self.assertEqual(self.titles(), ["about cats"])
        self.page.fill("#search", "birds")
        self.page.get_by_text("Nothing found").wait_for()

    def details(self, title):
        self.page.locator(".entry", has_text=title).hover()
        self.page.locator(".entry", has_text=title).locator("button.icon").click()
        return self.page.locator("dialog")

    def test_a_conversation_is_renamed_and_deleted_by_a_second_click(self):
        self.two()
        self.details("about cats").locator("#title").fill("Felines")
        self.page.keyboard.press("Enter")
        self.page.locator(".conversation", has_text="Felines").wait_for()
        dialog = self.details("Felines")
        dialog.get_by_text("Delete").click()
        dialog.get_by_text("Really delete?").click()
        self.page.locator(".conversation", has_text="Felines").wait_for(state="detached")
        self.page.reload()
        self.page.locator(".conversation").first.wait_for()
        self.assertEqual(self.titles(), ["about dogs"])

    def test_a_conversation_is_exported_as_markdown_and_json(self):
        self.two()
        dialog = self.details("about cats")
        with self.page.expect_download() as download:
            dialog.get_by_text("Markdown", exact=True).click()
        self.assertEqual(download.value.suggested_filename, "about cats.md")
        with open(download.value.path()) as file:
            self.assertEqual(file.read(), "# about cats\n\n## user\n\nabout cats\n\n## assistant\n\nanswer to about cats\n")
        with self.page.expect_download() as download:
            dialog.get_by_text("JSON", exact=True).click()
        with open(download.value.path()) as file:
            self.assertEqual([m["content"] for m in json.load(file)["messages"]], ["about cats", "answer to about cats"])

    def test_a_full_store_is_told_and_loses_nothing_on_the_screen(self):
        self.open()
        self.page.evaluate("localStorage.setItem('filler', 'x'.repeat(5 * 1024 * 1024 - 3000))")
        answer = self.ask("x" * 4000)
        self.assertIn("answer to xxx", answer.inner_text())
        self.page.get_by_text("This browser keeps no more conversations").wait_for()

    def test_a_damaged_store_does_not_break_the_page(self):
        self.open()
        self.page.evaluate("localStorage.setItem('corbel.conversation.x', '{broken'); localStorage.setItem('corbel.settings', '[');"
                           "localStorage.setItem('corbel.conversation.y', '{\"messages\": 5}')")
        self.page.reload()
        self.page.wait_for_selector('.dot[data-state="ok"]')
        self.assertIn("answer to hello", self.ask("hello").inner_text())


class Keyboard(PageCase):
    def test_shift_enter_makes_a_line_and_enter_sends(self):
        self.answer_with(whole_answer("x"))
        self.open()
        self.page.keyboard.type("one")
        self.page.keyboard.press("Shift+Enter")
        self.page.keyboard.type("two")
        self.page.keyboard.press("Enter")
        self.settled(2)
        self.assertEqual(self.bodies()[0]["messages"][0]["content"], "one\ntwo")

    def test_arrow_up_in_an_empty_field_edits_the_last_message_and_escape_leaves_it(self):
        self.answer_with(whole_answer("x"))
        self.open()
        self.ask("hello")
        self.page.keyboard.press("ArrowUp")
        self.assertEqual(self.page.input_value(".edit"), "hello")
        self.page.keyboard.press("Escape")
        self.assertEqual(self.page.locator(".edit").count(), 0)
        self.assertEqual(self.page.locator(".message").count(), 2)

    def test_control_k_finds_commands_and_runs_them(self):
        self.open()
        self.page.keyboard.press("Control+k")
        self.page.keyboard.type("live")
        self.page.keyboard.press("Enter")
        self.page.locator('#tab-live[aria-selected="true"]').wait_for()
        self.page.keyboard.press("Alt+3")
        self.page.locator('#tab-card[aria-selected="true"]').wait_for()
        self.page.keyboard.press("Control+k")
        self.page.keyboard.press("ArrowDown")
        chosen = self.page.locator('[role=option][aria-selected="true"]')
        self.assertEqual(chosen.get_attribute("id"), "palette-1")
        self.page.keyboard.press("Escape")
        self.page.locator("dialog").wait_for(state="detached")

    def test_everything_is_reached_by_tab_and_shows_that_it_is(self):
        self.open()
        self.page.focus(".skip")
        reached = []
        for _ in range(40):
            self.page.keyboard.press("Tab")
            where = self.page.evaluate("""(() => { const e = document.activeElement; const s = getComputedStyle(e);
              const ring = s.outlineStyle !== 'none' || getComputedStyle(e.parentElement).borderColor === getComputedStyle(document.getElementById('send')).backgroundColor;
              return [e.id || e.className || e.tagName, ring, e === document.body]; })()""")
            if where[2]:
                break
            reached.append(where[0])
            self.assertTrue(where[1], where[0])
        for wanted in ("new-chat", "search", "palette-open", "theme", "panel-open", "composer-text", "tab-settings", "set-system", "set-temperature"):
            self.assertIn(wanted, reached)

    def test_every_control_has_a_name(self):
        self.answer_with(whole_answer("```\ncode\n```"))
        self.open()
        self.ask("hello")
        nameless = self.page.evaluate("""[...document.querySelectorAll('button, input, textarea, select, [role=tab], nav, aside')].filter((e) =>
          !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.innerText.trim() || e.title || e.labels?.length)).map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])

    def test_the_end_of_an_answer_is_announced_once(self):
        self.answer_with(whole_answer("x", tokens=7))
        self.open()
        self.ask("hello")
        self.assertEqual(self.page.inner_text("#announce"), "Answer complete, 7 tokens")


class Colours(PageCase):
    options = {"color_scheme": "dark"}

    def background(self):
        red = re.match(r"rgb\((\d+)", self.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        return "dark" if int(red.group(1)) < 100 else "light"

    def test_colours_follow_the_system_and_the_switch_is_remembered(self):
        self.open()
        self.assertEqual(self.background(), "dark")
        self.page.click("#theme")
        self.assertEqual(self.background(), "light")
        self.page.reload()
        self.assertEqual(self.background(), "light")
        self.page.click("#theme")
        self.assertEqual(self.background(), "dark")

    def test_texts_stand_out_from_what_is_behind_them(self):
        for scheme in ("dark", "light"):
            self.page.emulate_media(color_scheme=scheme)
            self.answer_with(whole_answer("text `code` [link](https://a.example)\n\n```js\n// c\nlet x = 'a' + 12;\n```"))
            self.open()
            self.page.keyboard.press("Alt+n")
            self.ask("hello")
            poor = self.page.evaluate("""() => {
              const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
              const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
              const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
              const found = [];
              for (const e of document.querySelectorAll('#app *')) {
                if (!e.checkVisibility() || e.disabled || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
                const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
                if ((a + .05) / (b + .05) < 4.5) found.push([e.className || e.tagName, e.textContent.slice(0, 30), (a + .05) / (b + .05)]);
              }
              return found;
            }""")
            self.assertEqual(poor, [], scheme)


class Narrow(PageCase):
    width, height = 400, 800

    def test_both_sides_are_drawers_that_close(self):
        self.answer_with(whole_answer("x"))
        self.open()
        self.assertFalse(self.page.locator("#panel").is_visible())
        self.ask("hello")
        self.page.click("#sidebar-open")
        self.page.locator(".conversation", has_text="hello").wait_for()
        self.page.keyboard.press("Escape")
        self.page.click("#panel-open")
        self.page.fill("#set-temperature", "1")
        self.page.click("#panel-close")
        self.page.locator("#panel").wait_for(state="hidden")
        self.assertEqual(self.page.evaluate("document.documentElement.scrollWidth"), 400)

    def test_the_newest_words_stay_in_view_until_somebody_scrolls_up(self):
        stream = self.answer_with(Stream())
        self.open()
        self.page.fill("#composer-text", "hello")
        self.page.keyboard.press("Enter")
        for i in range(60):
            stream.delta(content=f"line {i}\n\n")
        self.page.get_by_text("line 59", exact=True).wait_for()
        self.page.locator("#to-end").wait_for(state="hidden")
        self.page.locator("#scroll").evaluate("e => e.scrollTop = 0")
        self.page.locator("#to-end").wait_for()
        stream.delta(content="line 60\n\n")
        self.page.get_by_text("line 60", exact=True).wait_for()
        self.assertEqual(self.page.locator("#scroll").evaluate("e => e.scrollTop"), 0)
        self.page.click("#to-end")
        self.page.locator("#to-end").wait_for(state="hidden")
        stream.end()
        self.settled(2)
