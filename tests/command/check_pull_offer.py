"""chat, run and serve offer to download a model that is not here: on a terminal by a question, elsewhere by their error.

  usage: check_pull_offer.py CORBEL SOURCE_FOLDER
"""
import os
import pty
import select
import subprocess
import sys
import unittest

from pull_case import PullCase
from runner import CORBEL, HAS_PICO, PICO


class Offer(PullCase):
    def test_without_a_terminal_the_error_names_the_command(self):
        for command in ("chat", "run", "serve"):
            done = subprocess.run([CORBEL, command, *(["--model", "org/net", "hi"] if command == "run" else ["org/net"])],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.environment(), timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn("Download it with `corbel pull org/net`", done.stderr)
        self.assertEqual(self.hub.seen, [])

    def on_terminal(self, answer):
        """Everything that `corbel chat org/net` shows on a terminal where `answer` is typed at the question, and its exit code."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([CORBEL, "chat", "org/net", "--max-tokens", "3"], stdin=theirs, stdout=theirs, stderr=theirs,
                                   env=self.environment(TERM="dumb"), start_new_session=True)
        os.close(theirs)
        shown, replies = "", [("[Y/n] ", answer), ("> ", "\x04")]
        while True:
            ready, _, _ = select.select([ours], [], [], 60)
            self.assertTrue(ready, shown)
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece.decode(errors="replace")
            if replies and replies[0][0] in shown:
                os.write(ours, replies.pop(0)[1].encode())
        os.close(ours)
        return process.wait(timeout=60), shown

    @unittest.skipUnless(HAS_PICO, "no built-in model in this tree")
    def test_on_a_terminal_chat_offers_the_download_and_goes_on(self):
        self.hub.files = {p.name: p.read_bytes() for p in PICO.iterdir() if p.is_file()}
        code, shown = self.on_terminal("\n")
        self.assertIn("org/net is not here. Download it from http://127.0.0.1", shown)
        self.assertIn("/help lists the commands", shown)
        self.assertEqual(code, 0)
        self.assert_whole()

    def test_who_says_no_gets_the_error(self):
        code, shown = self.on_terminal("n\n")
        self.assertEqual(code, 1)
        self.assertIn("Download it with `corbel pull org/net`", shown)
        self.assertFalse(self.repository.exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
