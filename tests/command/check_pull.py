"""corbel pull from outside, against a hub of our own (hub_server.py): layout, resumption, hashes, refusals, secrets.

  usage: check_pull.py CORBEL SOURCE_FOLDER
"""
import fnmatch
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

from hub_server import COMMIT, Hub, git_blob, wait_until
from pull_case import MB, TOKEN, PullCase


class Pull(PullCase):
    # Where files come to lie.

    def test_files_lie_as_the_hubs_own_client_puts_them(self):
        code, out, _ = self.pull()
        snapshot = self.repository / "snapshots" / COMMIT
        self.assertEqual((code, out), (0, f"{snapshot}\n"))
        self.assertEqual((self.repository / "refs/main").read_text(), COMMIT)
        names = sorted(str(p.relative_to(snapshot)) for p in snapshot.rglob("*") if not p.is_dir())
        self.assertEqual(names, ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"])
        links = {name: os.readlink(snapshot / name) for name in names}
        self.assertEqual(links["model.safetensors"], "../../blobs/" + hashlib.sha256(self.data).hexdigest())
        self.assertEqual(links["1_Pooling/config.json"], "../../../blobs/" + git_blob(b'{"p": 1}'))
        for name in names:
            self.assert_whole(name)

    def test_the_hubs_own_client_finds_what_was_pulled_and_we_what_it_pulled(self):
        try:
            import huggingface_hub  # noqa: F401
        except ImportError:
            self.skipTest("Python has no huggingface_hub here")
        self.pull()
        code = ("import huggingface_hub as h, sys; "
                "print(h.snapshot_download('org/net', local_files_only=True), h.try_to_load_from_cache('org/net', 'config.json'))")
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=self.environment(), timeout=60)
        snapshot = str(self.repository / "snapshots" / COMMIT)
        self.assertEqual(found.stdout.split(), [snapshot, snapshot + "/config.json"], found.stderr)

    def test_hf_home_and_hf_hub_cache_move_the_cache(self):
        self.pull(HF_HOME=str(self.home / "a"))
        self.assertTrue((self.home / "a/hub/models--org--net/refs/main").exists())
        self.pull(HF_HUB_CACHE=str(self.home / "b"))
        self.assertTrue((self.home / "b/models--org--net/refs/main").exists())
        self.pull(XDG_CACHE_HOME=str(self.home / "c"))
        self.assertTrue((self.home / "c/huggingface/hub/models--org--net/refs/main").exists())

    def test_a_second_pull_asks_for_the_list_alone(self):
        self.pull()
        before = len(self.hub.seen)
        code, _, err = self.pull()
        self.assertEqual(code, 0)
        self.assertIn("nothing to download", err)
        self.assertEqual([one[2] for one in self.hub.seen[before:]], ["/api/models/org/net/revision/main?blobs=true"])

    def test_revisions_get_refs_of_their_own_and_commits_none(self):
        self.pull("--revision", "refs/pr/1")
        self.assertEqual((self.repository / "refs/refs/pr/1").read_text(), COMMIT)
        self.pull("--revision", COMMIT)
        self.assertFalse((self.repository / "refs" / COMMIT).exists())

    def test_patterns_choose_as_pythons_fnmatch_does(self):
        names = ["a.gguf", "b/c.gguf", "b/cc.txt", "[x].md", "Q4_K_M.gguf", "Q5_K_M.gguf", "q4.gguf"]
        self.hub.files = {name: b"x" for name in names}
        for pattern in ["*", "*.gguf", "b/*", "?.gguf", "[!a]*", "Q[4-5]_*", "[[]x[]].md", "*c*", "q4.gguf", "Q4*", "*_M*"]:
            _, out, _ = self.pull("--dry-run", "--json", "--include", pattern)
            got = sorted(f["path"] for f in json.loads(out)["files"])
            self.assertEqual(got, sorted(n for n in names if fnmatch.fnmatchcase(n, pattern)), pattern)

    def test_include_exclude_dry_run_and_json(self):
        code, out, _ = self.pull("--include", "*.json", "--include", "empty.txt", "--exclude", "1_*", "--dry-run")
        self.assertEqual(code, 0)
        self.assertIn("config.json", out)
        self.assertIn("3 files, 10 B; 10 B to download", out)
        self.assertFalse(self.repository.exists())
        code, out, _ = self.pull("--include", "*.json", "--include", "empty.txt", "--json")
        report = json.loads(out)
        self.assertEqual((code, report["commit"], report["folder"]), (0, COMMIT, str(self.repository / "snapshots" / COMMIT)))
        self.assertEqual({f["path"]: f["how"] for f in report["files"]},
                         {name: "fetched" for name in ("1_Pooling/config.json", "config.json", "empty.txt", "tokenizer.json")})
        self.assertEqual(report["files"][1]["git_sha1"], git_blob(b"{}"))
        self.assert_whole("empty.txt")

    def test_a_list_without_sizes_and_hashes_is_completed_by_asking_for_each_file(self):
        self.hub.no_hashes = True
        code, _, err = self.pull()
        self.assertEqual(code, 0, err)
        self.assert_whole()
        self.assertEqual(os.readlink(self.repository / "snapshots" / COMMIT / "config.json"), "../../blobs/" + git_blob(b"{}"))

    def test_of_gguf_files_one_has_to_be_named(self):
        self.hub.files = {"config.json": b"{}", "net-Q4.gguf": b"GGUF1", "net-Q8.gguf": b"GGUF2"}
        code, _, err = self.pull()
        self.assertEqual(code, 1)
        self.assertIn('--include "net-Q4.gguf". There is net-Q4.gguf (5 B), net-Q8.gguf (5 B)', err)
        self.assertEqual(self.pull("--include", "*Q8*")[0], 0)
        self.assert_whole("net-Q8.gguf")

    # Secrets.

    def test_the_token_goes_to_the_hub_alone(self):
        self.hub.token = TOKEN
        self.assertEqual(self.pull(HF_TOKEN=TOKEN)[0], 0)
        self.assertTrue(self.hub.requests("/resolve/"))
        for server, _, path, headers in self.hub.seen:
            sent = headers.get("authorization")
            self.assertEqual(sent, f"Bearer {TOKEN}" if server == "hub" else None, path)
        self.assertNotIn(TOKEN, "".join(p.read_text(errors="replace") for p in self.home.rglob("*") if p.is_file()))

    def test_the_token_file_is_read_where_the_hubs_client_keeps_it(self):
        self.hub.token = TOKEN
        (self.home / ".cache/huggingface").mkdir(parents=True)
        (self.home / ".cache/huggingface/token").write_text(TOKEN + "\n")
        self.assertEqual(self.pull()[0], 0)
        (self.home / "other").write_text(TOKEN)
        self.assertEqual(self.pull(HF_HOME=str(self.home / "x"))[0], 1)
        self.assertEqual(self.pull(HF_HOME=str(self.home / "x"), HF_TOKEN_PATH=str(self.home / "other"))[0], 0)

    def test_a_server_that_sends_the_token_back_does_not_make_us_show_it(self):
        for status in (400, 500):
            self.hub.status = {"/main": [status] * 3}
            self.hub.send = lambda request, status, body, headers: Hub.send(
                self.hub, request, status, body, headers | {"x-error-message": request.headers.get("authorization", "")})
            code, _, err = self.pull("--retries", "0", HF_TOKEN=TOKEN)
            self.assertEqual(code, 1)
            self.assertIn(f"answered {status}, Bearer [token]", err)

    # What the hub refuses.

    def test_a_repository_that_is_not_there_is_one_that_may_be_private(self):
        code, _, err = self.pull(repository="org/other")
        self.assertEqual(code, 1)
        self.assertIn("shows no repository org/other; check the name, or set HF_TOKEN where it is private", err)

    def test_a_401_says_whether_a_token_was_sent(self):
        self.hub.token = TOKEN
        code, _, err = self.pull()
        self.assertEqual(code, 1)
        self.assertIn("or set HF_TOKEN where it is private", err)
        code, _, err = self.pull(HF_TOKEN="hf_wrong")
        self.assertEqual(code, 1)
        self.assertIn("to your token; check the name, and the token (HF_TOKEN)", err)
        self.assertNotIn("hf_wrong", err)

    def test_a_gated_repository_says_where_to_ask(self):
        self.hub.gated = True
        code, _, err = self.pull()
        self.assertEqual(code, 1)
        self.assertIn(f"is gated; ask for access at {self.hub.endpoint}/org/net, then set HF_TOKEN", err)

    def test_a_revision_that_is_not_there_is_named(self):
        code, _, err = self.pull("--revision", "v9")
        self.assertEqual(code, 1)
        self.assertIn('the revision "v9" is not there', err)

    def test_paths_that_lead_out_of_the_folder_refuse_everything(self):
        for path in ("../x", "/etc/x", "a/../../x", "a\\..\\x"):
            self.hub.extra = [{"rfilename": path, "size": 1, "blobId": "0" * 40}]
            code, _, err = self.pull()
            self.assertEqual(code, 1)
            self.assertIn("is no path inside a repository; nothing was downloaded", err)
        self.assertFalse(self.cache.exists())
        self.assertEqual(self.hub.requests("/resolve/"), [])

    def test_wrong_names_are_refused_before_anything_is_asked(self):
        for words in (["no_slash"], ["../x"], ["a/b/c"], ["org/net", "--revision", "../x"], ["org/net", "--revision", ""]):
            code, _, err = self.pull(*words[1:], repository=words[0])
            self.assertEqual(code, 1, words)
            self.assertIn("corbel: ", err)
        self.assertEqual(self.hub.seen, [])
        self.assertEqual(self.pull(HF_HUB_OFFLINE="1")[0], 1)
        self.assertEqual(self.pull(HF_ENDPOINT="ftp://x")[0], 1)
        self.assertEqual(self.pull("--retries", "-1")[0], 2)
        self.assertEqual(self.pull("another/one")[0], 2)
        self.assertEqual(self.hub.seen, [])

    def test_nobody_listening_is_an_error_that_names_the_host(self):
        code, _, err = self.pull("--retries", "1", HF_ENDPOINT="http://127.0.0.1:1")
        self.assertEqual(code, 1)
        self.assertIn("cannot list org/net: http://127.0.0.1:1: ", err)
        self.assertIn("2 times", err)

    # What goes wrong on the way.

    def test_a_cut_connection_goes_on_where_it_broke(self):
        self.hub.cut = {"model.safetensors": [3 * MB, MB, 2 * MB]}
        code, _, err = self.pull()
        self.assertEqual(code, 0, err)
        self.assert_whole()
        begins = [one[3].get("range") for one in self.hub.seen if one[0] == "cdn"]
        self.assertEqual(begins, [None, f"bytes={3 * MB}-", f"bytes={4 * MB}-", f"bytes={6 * MB}-"])

    def test_a_connection_that_is_always_cut_ends_with_what_came_kept(self):
        self.hub.cut = {"model.safetensors": [3 * MB] + [0] * 9}
        code, _, err = self.pull("--retries", "1")
        self.assertEqual(code, 1)
        self.assertIn("what came is kept, the same command goes on from there", err)
        self.assertEqual(self.partial(), 3 * MB)
        self.assert_nothing_published()
        self.hub.cut = {}
        before = self.hub.sent_bytes
        code, out, _ = self.pull("--json")
        self.assertEqual({f["path"]: f["how"] for f in json.loads(out)["files"]}["model.safetensors"], "resumed")
        self.assertLess(self.hub.sent_bytes - before, 6 * MB)
        self.assert_whole()

    def test_a_kill_loses_nothing(self):
        self.hub.hold = {"model.safetensors": threading.Event()}
        process = self.start()
        self.assertTrue(wait_until(lambda: self.partial() >= 4 * MB))
        process.kill()
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL)
        self.assert_nothing_published()
        self.hub.hold["model.safetensors"].set()
        before = self.hub.sent_bytes
        self.assertEqual(self.pull()[0], 0)
        self.assertLess(self.hub.sent_bytes - before, 5 * MB)
        self.assert_whole()

    def test_ctrl_c_ends_with_130_and_keeps_what_came(self):
        self.hub.hold = {"model.safetensors": threading.Event()}
        process = self.start()
        self.assertTrue(wait_until(lambda: self.partial() >= 4 * MB))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertIn("the same command goes on from here", err)
        self.assertEqual(self.partial(), 4 * MB)

    def test_a_stalled_connection_is_given_up_and_tried_again(self):
        self.hub.hold = {"model.safetensors": threading.Event()}
        code, _, err = self.pull("--retries", "0", HF_HUB_DOWNLOAD_TIMEOUT="1")
        self.assertEqual(code, 1)
        self.assertIn("too slow", err)
        self.assertEqual(self.partial(), 4 * MB)

    def test_a_side_without_ranges_is_read_from_the_beginning(self):
        self.hub.no_ranges = True
        self.hub.cut = {"model.safetensors": [3 * MB]}
        self.assertEqual(self.pull()[0], 0)
        self.assert_whole()

    def test_an_overlong_partial_file_is_begun_anew(self):
        self.blobs.mkdir(parents=True)
        (self.blobs / (hashlib.sha256(self.data).hexdigest() + ".incomplete")).write_bytes(b"x" * (9 * MB))
        self.assertEqual(self.pull()[0], 0)
        self.assert_whole()

    def test_a_partial_file_of_other_bytes_is_found_by_its_hash_and_removed(self):
        self.blobs.mkdir(parents=True)
        (self.blobs / (hashlib.sha256(self.data).hexdigest() + ".incomplete")).write_bytes(b"x" * MB)
        code, _, err = self.pull()
        self.assertEqual(code, 1)
        self.assertIn("model.safetensors is damaged: SHA-256 ", err)
        self.assertEqual(self.partial(), 0)
        self.assertEqual(self.pull()[0], 0)
        self.assert_whole()

    def test_a_wrong_hash_removes_the_file_and_publishes_nothing(self):
        for name, kind in (("model.safetensors", "SHA-256"), ("config.json", "git's SHA-1")):
            shutil.rmtree(self.repository, ignore_errors=True)
            right = self.hub.files[name]
            self.hub.lies = {name: right[:-1] + b"?"}
            code, _, err = self.pull()
            self.assertEqual(code, 1)
            self.assertIn(f"{name} is damaged: {kind} ", err)
            hashes = (git_blob(right), hashlib.sha256(right).hexdigest())
            self.assertEqual([p.name for p in self.blobs.iterdir() if p.name.startswith(hashes)], [])
            self.assert_nothing_published()

    def test_more_bytes_than_listed_are_not_taken(self):
        self.hub.lies = {"model.safetensors": self.data + b"more"}
        code, _, err = self.pull()
        self.assertEqual(code, 1)
        self.assertIn("is longer than the 8388608 bytes that the hub lists", err)
        self.assertEqual(self.partial(), 0)

    def test_a_busy_hub_is_asked_again(self):
        self.hub.status = {"/revision/main": [429, 503], "/config.json": [500], "/model.safetensors": [502]}
        code, _, err = self.pull()
        self.assertEqual(code, 0, err)
        self.assert_whole()

    def test_a_full_disk_keeps_what_came(self):
        code, _, err = self.pull(limit_bytes=5 * MB)
        self.assertEqual(code, 1)
        self.assertIn("File too large", err)
        self.assertIn("that came are kept, the same command goes on from there", err)
        self.assertEqual(self.partial(), 5 * MB)
        self.assert_nothing_published()
        self.assertEqual(self.pull()[0], 0)
        self.assert_whole()

    def test_a_disk_without_room_is_refused_before_anything_is_downloaded(self):
        small = self.home / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("no file system can be mounted here")
        try:
            code, _, err = self.pull(HF_HUB_CACHE=str(small))
        finally:
            subprocess.run(["umount", str(small)], check=True)
        self.assertEqual(code, 1)
        self.assertRegex(err, r"it takes 8\.39 MB more, .*/small has 4\.\d+ MB free")
        self.assertEqual(self.hub.requests("/resolve/"), [])

    def test_two_at_once_download_once(self):
        self.hub.hold = {"model.safetensors": threading.Event()}
        first = self.start()
        self.assertTrue(wait_until(lambda: self.partial() >= 4 * MB))
        second = self.start()
        line = second.stderr.readline()
        while line and "waiting for another process" not in line:
            line = second.stderr.readline()
        self.assertIn("waiting for another process", line)
        self.hub.hold["model.safetensors"].set()
        for process in (first, second):
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len([one for one in self.hub.seen if one[0] == "cdn"]), 1)
        self.assert_whole()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
