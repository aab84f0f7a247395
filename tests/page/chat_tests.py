"""Questions, answers, and what the page makes of them."""

import json
import urllib.request

from page_case import PLACES, PageCase
from stage import Stream, give_error, whole_answer


class Chat(PageCase):
    def test_an_answer_is_the_one_that_the_api_gives(self):
        self.open()
        answer = self.ask("What is a KV cache?")
        body = {"messages": [{"role": "user", "content": "What is a KV cache?"}]}
        address = f"http://127.0.0.1:{PLACES['corbel'].port}/v1/chat/completions"
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode())) as response:
            told = json.load(response)
        self.assertEqual(answer.locator(".prose").last.inner_text(), told["choices"][0]["message"]["content"])
        self.assertRegex(answer.locator(".figures").inner_text(), rf"^{told['usage']['completion_tokens']} tokens( \u00b7 [\d.]+/s)? \u00b7 first after ")  # none where all came in one piece

    def test_words_appear_as_they_come(self):
        stream = self.answer_with(Stream())
        self.open()
        self.page.fill("#composer-text", "Hello")
        self.page.keyboard.press("Enter")
        stream.delta(content="one ")
        self.page.locator(".message.running .prose", has_text="one").wait_for()
        stream.delta(content="two\n\n- three")
        self.page.locator(".message.running li", has_text="three").wait_for()
        self.page.locator(".message.running .figures", has_text="2 tokens").wait_for()
        self.assertIn("2 tokens", self.page.locator(".message.running .figures", has_text="2 tokens").inner_text())
        stream.end()
        self.settled(2)

    def test_escape_and_the_button_stop_an_answer_and_keep_what_came(self):
        for stop in (lambda: self.page.keyboard.press("Escape"), lambda: self.page.click("#stop")):
            stream = self.answer_with(Stream())
            self.open()
            self.page.keyboard.press("Alt+n")
            self.page.fill("#composer-text", "Hello")
            self.page.keyboard.press("Enter")
            stream.delta(content="half an answer")
            self.page.locator(".prose", has_text="half an answer").wait_for()
            stop()
            answer = self.settled(2)
            self.assertIn("stopped", answer.locator(".foot").inner_text())
            self.assertEqual(answer.locator(".prose").last.inner_text(), "half an answer")
            self.assertTrue(stream.gone.wait(10))
            self.assertEqual(self.page.evaluate("document.activeElement.id"), "composer-text")

    def test_another_answer_takes_the_place_of_the_last(self):
        self.answer_with(whole_answer("first"))
        self.open()
        answer = self.ask("Hello")
        self.answer_with(whole_answer("second"))
        answer.get_by_title("Another answer").click()
        self.page.locator(".prose", has_text="second").wait_for()
        self.assertEqual(self.settled(2).locator(".prose").last.inner_text(), "second")
        self.assertEqual(self.page.locator(".message").count(), 2)
        self.assertEqual(self.bodies()[0]["messages"], self.bodies()[1]["messages"])

    def test_an_edited_message_takes_away_what_came_after(self):
        self.answer_with(whole_answer("x"))
        self.open()
        self.ask("one")
        self.answer_with(whole_answer("y"))
        self.ask("two")
        self.answer_with(whole_answer("z"))
        self.page.locator(".message.user").first.hover()
        self.page.locator(".message.user").first.get_by_title("Edit, and ask again from here").click()
        self.page.fill(".edit", "three")
        self.page.keyboard.press("Enter")
        self.page.locator(".prose", has_text="z").wait_for()
        self.settled(2)
        self.assertEqual(self.bodies()[-1]["messages"], [{"role": "user", "content": "three"}])

    def test_settings_go_with_the_question_and_empty_ones_do_not(self):
        self.answer_with(whole_answer("x"))
        self.open()
        self.page.fill("#set-system", "Be brief.")
        self.page.fill("#set-temperature", "0.5")
        self.page.fill("#set-seed", "7")
        self.page.fill("#set-max_tokens", "20")
        self.page.click(".more summary")
        self.page.fill("#set-stop", "END\n###")
        self.page.fill("#set-chat_template_kwargs", '{"enable_thinking": false}')
        self.ask("Hello")
        body = self.bodies()[-1]
        self.assertEqual(body["messages"][0], {"role": "system", "content": "Be brief."})
        wanted = {"temperature": 0.5, "seed": 7, "max_tokens": 20, "stop": ["END", "###"], "chat_template_kwargs": {"enable_thinking": False}}
        self.assertEqual({name: body[name] for name in wanted}, wanted)
        self.assertEqual(set(body) - set(wanted), {"messages", "model", "stream", "stream_options", "return_receipt"})
        self.page.reload()
        self.assertEqual(self.page.input_value("#set-temperature"), "0.5")
        self.page.fill("#set-temperature", "")
        self.answer_with(whole_answer("y"))
        self.ask("Again", count=4)
        self.assertNotIn("temperature", self.bodies()[-1])

    def test_a_setting_out_of_range_is_named_and_nothing_is_asked(self):
        self.open()
        self.page.fill("#set-temperature", "9")
        self.assertEqual(self.page.inner_text("#problem-temperature"), "expected 0 to 2")
        answer = self.ask("Hello")
        self.assertIn('"temperature" in the settings: expected 0 to 2', answer.inner_text())
        self.assertEqual(self.bodies(), [])

    def test_defaults_are_those_of_the_model(self):
        self.open()
        with urllib.request.urlopen(f"http://127.0.0.1:{PLACES['corbel'].port}/v1/status") as response:
            defaults = json.load(response)["models"][0]["card"]["defaults"]
        self.page.locator(f'#set-top_p[placeholder="{defaults["top_p"]:g}"]').wait_for()
        for name in ("temperature", "max_tokens"):
            self.assertEqual(self.page.get_attribute(f"#set-{name}", "placeholder"), f"{defaults[name]:g}")

    def test_a_refusal_shows_the_servers_words_its_field_and_the_requests_number(self):
        self.answer_with(give_error(400, '"top_p" is 0; it must be above 0', "top_p"))
        self.open()
        answer = self.ask("Hello")
        self.assertIn('"top_p" is 0; it must be above 0', answer.inner_text())
        self.assertIn("request req_17", answer.inner_text())
        self.assertEqual(self.page.get_attribute("#set-top_p", "aria-invalid"), "true")
        self.answer_with(whole_answer("well again"))
        answer.get_by_text("Try again").click()
        self.page.locator(".prose", has_text="well again").wait_for()

    def test_a_stream_that_breaks_keeps_its_text_and_says_so(self):
        for last, said in (("data: " + json.dumps({"error": {"message": "the engine fell over", "param": None}}) + "\n\n", "the engine fell over"),
                           ("", "ended before it was complete")):
            stream = self.answer_with(Stream())
            stream.delta(content="the beginning")
            stream.put(last)
            stream.put(None)
            self.open()
            self.page.keyboard.press("Alt+n")
            answer = self.ask("Hello")
            self.assertIn("the beginning", answer.inner_text())
            self.assertIn(said, answer.locator(".problem").inner_text())

    def test_thoughts_are_folded_and_stay_out_of_the_next_question(self):
        stream = self.answer_with(Stream())
        stream.delta(reasoning_content="let me see, ")
        stream.delta(reasoning_content="yes")
        stream.delta(content="42")
        stream.end()
        self.open()
        answer = self.ask("Hello")
        self.assertIn("Thoughts (4 words)", answer.inner_text())
        self.assertFalse(answer.get_by_text("let me see, yes").is_visible())
        answer.locator("summary").click()
        self.assertTrue(answer.get_by_text("let me see, yes").is_visible())
        self.answer_with(whole_answer("x"))
        self.ask("And?")
        self.assertEqual(self.bodies()[-1]["messages"][1], {"role": "assistant", "content": "42"})

    def test_tool_calls_are_shown_and_their_results_can_be_written_by_hand(self):
        stream = self.answer_with(Stream())
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        stream.delta(tool_calls=[call])
        stream.delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}])
        stream.delta(tool_calls=[{"index": 0, "function": {"arguments": '"Turin"}'}}])
        stream.end(finish="tool_calls")
        self.open()
        answer = self.ask("Weather?")
        self.assertIn("weather", answer.locator(".call .label").inner_text())
        self.assertEqual(answer.locator(".call pre").inner_text(), '{\n  "city": "Turin"\n}')
        self.answer_with(whole_answer("It rains."))
        self.page.fill(".results textarea", "rain")
        self.page.click("text=Send the results")
        self.settled(4)
        self.assertEqual(self.bodies()[-1]["messages"][1:], [
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Turin"}'}}]},
            {"role": "tool", "content": "rain", "tool_call_id": "call_1"}])

    def test_a_receipt_is_shown_and_replayed_to_the_same_bytes(self):
        self.open()
        self.page.fill("#set-temperature", "1")
        self.page.fill("#set-max_tokens", "12")
        answer = self.ask("What is a KV cache?")
        answer.get_by_title("Receipt:").click()
        dialog = self.page.locator("dialog")
        self.assertIn("pico", dialog.inner_text())
        self.assertIn("temperature 1, seed ", dialog.inner_text())
        dialog.get_by_text("Replay", exact=True).click()
        dialog.get_by_text("The same bytes: 12 tokens").wait_for()
        with self.page.expect_download() as download:
            dialog.get_by_text("Save", exact=True).click()
        with open(download.value.path()) as file:
            self.assertEqual(json.load(file)["format"], "corbel.receipt.v1")
        self.page.keyboard.press("Escape")
        self.page.locator("dialog").wait_for(state="detached")

    def test_an_altered_receipt_is_found_out(self):
        self.open()
        self.page.fill("#set-max_tokens", "12")
        answer = self.ask("What is a KV cache?")
        self.stage.answers["/replay"] = give_error(400, "the receipt was altered")
        answer.get_by_title("Receipt:").click()
        self.page.locator("dialog").get_by_text("Replay", exact=True).click()
        self.page.locator(".verdict.bad", has_text="the receipt was altered").wait_for()

    def test_a_server_before_receipts_is_asked_again_without(self):
        answers = [give_error(400, '"return_receipt" is not known', "return_receipt"), whole_answer("old but well")]
        self.answer_with(lambda request: answers.pop(0)(request))
        self.open()
        self.assertIn("old but well", self.ask("Hello").inner_text())
        self.assertNotIn("return_receipt", self.bodies()[-1])
