"""What models write, as elements: Markdown, code, and what is not let through."""

from page_case import PageCase
from stage import whole_answer

SAMPLE = """# Title

A **bold** word, *one* more, `code with <tags>`, ~~gone~~, snake_case_name, 2 * 3 * 4.
Second line with https://example.org/a_b?c=(d) and [a link](https://example.org "t").

- one
- two
  - below
  1. first

     more of it
- [x] done

> quoted **text**
> goes on

| a | b |
|:--|--:|
| 1 | `x|y` |

```python
def f(x):  # <script>alert(1)</script>
    return "a" + 'b'
```

---
1. a
2. b
   ```
   code inside
   ```
last"""

HOSTILE = """<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2">

[click](javascript:window.hacked=3) [data](data:text/html,x) ![image](https://elsewhere.example/pixel.png)
<svg onload="window.hacked = 4"></svg> <a href="javascript:1">x</a>

```html" onmouseover="window.hacked = 5
<b>bold</b>
```
| <img src=x onerror=1> | b |
|---|---|
| <script>1</script> | x |
"""


class Text(PageCase):
    def show(self, text):
        self.answer_with(whole_answer(text))
        self.open()
        return self.ask("Show").locator(".prose").last

    def test_markdown_becomes_elements(self):
        prose = self.show(SAMPLE)
        html = prose.evaluate("e => e.innerHTML")
        for part in ("<h3>Title</h3>", "<strong>bold</strong>", "<em>one</em>", "<code>code with &lt;tags&gt;</code>", "<del>gone</del>",
                     "snake_case_name", "2 * 3 * 4", "<blockquote>", "<li>below</li>", "quoted <strong>text</strong><br>goes on", "<hr>"):
            self.assertIn(part, html)
        self.assertEqual(prose.locator("a").evaluate_all("all => all.map(a => [a.href, a.rel, a.target])"),
                         [["https://example.org/a_b?c=(d", "noopener noreferrer", "_blank"], ["https://example.org/", "noopener noreferrer", "_blank"]])
        self.assertEqual(prose.locator("td").all_inner_texts(), ["1", "`x"])
        self.assertEqual(prose.locator(".code pre").first.inner_text(), "def f(x):  # <script>alert(1)</script>\n    return \"a\" + 'b'")
        self.assertEqual(prose.locator(".code pre").nth(1).inner_text(), "code inside")
        self.assertEqual(prose.locator(".hl-k").all_inner_texts(), ["def", "return"])
        self.assertTrue(prose.locator("input[type=checkbox]").is_checked())

    def test_a_text_that_comes_in_pieces_is_shown_as_the_whole_is(self):
        self.open()
        different = self.page.evaluate("""async (text) => {
          const {MarkdownView, render} = await import('/page/markdown.js');
          const growing = document.createElement('div');
          const view = new MarkdownView(growing);
          for (let end = 0; end <= text.length; ++end) {
            view.update(text.slice(0, end));
            const whole = document.createElement('div');
            whole.append(...render(text.slice(0, end)));
            if (whole.innerHTML !== growing.innerHTML) return [end, whole.innerHTML, growing.innerHTML];
          }
          return null;
        }""", SAMPLE + HOSTILE)
        self.assertIsNone(different)

    def test_only_what_changed_is_made_again(self):
        self.open()
        kept = self.page.evaluate("""async () => {
          const {MarkdownView} = await import('/page/markdown.js');
          const box = document.createElement('div');
          const view = new MarkdownView(box);
          view.update('one\\n\\ntwo\\n\\nthr');
          const before = [...box.children];
          view.update('one\\n\\ntwo\\n\\nthree\\n\\nfour');
          return [...box.children].map((child, i) => child === before[i]);
        }""")
        self.assertEqual(kept, [True, True, False, False])

    def test_nothing_that_a_model_writes_is_run_or_fetched(self):
        prose = self.show(HOSTILE)
        prose.locator("span", has_text="click").hover()
        self.assertEqual(prose.evaluate("e => e.querySelectorAll('script, img, svg:not(.ico), iframe, [onerror], [onload], [onmouseover]').length"), 0)
        self.assertEqual([a for a in prose.locator("a").evaluate_all("all => all.map(a => a.protocol)") if a not in ("http:", "https:")], [])
        self.assertIn("<script>window.hacked = 1</script>", prose.inner_text())
        self.assertIsNone(self.page.evaluate("window.hacked ?? null"))
        # tearDown: nobody else was asked, and the browser saw no breach of the policy.

    def test_texts_made_to_be_slow_are_not(self):
        self.open()
        worst = self.page.evaluate("""async () => {
          const {render} = await import('/page/markdown.js');
          const times = [];
          for (const piece of ['*a ', '_a ', '[', '`a``', '~~', '> ', '- a\\n  ', '|', '\\\\', '<http://a', '**a*', '```\\n', '1. ', '![[(']) {
            const begin = performance.now();
            render(piece.repeat(20000));
            times.push([performance.now() - begin, piece]);
          }
          return times.sort((a, b) => b[0] - a[0])[0];
        }""")
        self.assertLess(worst[0], 2000, worst[1])

    def test_the_copy_button_of_code_copies_the_code(self):
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        prose = self.show("```js\nlet a = '<b>';\nlet c;\n```")
        prose.get_by_title("Copy the code").click()
        self.page.locator("#announce", has_text="Copied").wait_for()
        self.assertEqual(self.page.evaluate("navigator.clipboard.readText()"), "let a = '<b>';\nlet c;")


class NarrowText(PageCase):
    width, height = 400, 800

    def test_long_lines_scroll_in_their_own_box(self):
        self.answer_with(whole_answer("```\n" + "long " * 200 + "\n```\n\n" + "w" * 300 + "\n\n| " + " | ".join(["cell"] * 30) + " |\n|" + "---|" * 30))
        self.open()
        prose = self.ask("Show").locator(".prose").last
        self.assertTrue(prose.locator("pre").evaluate("e => e.scrollWidth > e.clientWidth"))
        self.assertEqual(self.page.evaluate("document.documentElement.scrollWidth"), 400)
        self.assertTrue(self.page.evaluate("(() => { const e = document.getElementById('scroll'); return e.scrollWidth <= e.clientWidth; })()"))
