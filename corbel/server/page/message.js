// One message on the screen: its text, thoughts, calls, figures, and what can be done with it.
import {copyButton, counted, icon, iconButton, make} from './dom.js';
import {MarkdownView, codeBlock} from './markdown.js';
import {showReceipt} from './receipt.js';

const NAMES = {user: 'You', assistant: 'Answer', tool: 'Result of a tool', system: 'System'};

export class MessageView {
  constructor(message, chat) {
    this.message = message;
    this.chat = chat;
    this.timing = null;  // while it comes
    this.element = make('article', {class: `message ${message.role}`, 'aria-label': NAMES[message.role]});
    this.body = make('div', {class: 'body'});
    this.foot = make('div', {class: 'foot'});
    this.element.append(this.body, this.foot);
    if (message.role === 'assistant') this.buildAnswer();
    else this.body.append(make('div', {class: 'plain', text: message.content}));
    if (message.role === 'tool') this.body.prepend(make('div', {class: 'label'}, icon('tool'), `result for ${message.name ?? 'a call'}`));
    this.finish();
  }

  buildAnswer() {
    this.thoughts = make('details', {class: 'thoughts', hidden: true});
    this.thoughtsLabel = make('span', {text: 'Thoughts'});
    const thoughtsText = make('div', {class: 'prose'});
    this.thoughts.append(make('summary', {}, this.thoughtsLabel), thoughtsText);
    this.text = make('div', {class: 'prose'});
    this.calls = make('div', {class: 'calls'});
    this.problem = make('div', {class: 'problem', hidden: true});
    this.body.append(this.thoughts, this.text, this.calls, this.problem);
    this.thoughtsView = new MarkdownView(thoughtsText);
    this.textView = new MarkdownView(this.text);
  }

  /** The answer is asked for: until its end, figures run. */
  start(timing) {
    this.timing = timing;
    this.element.classList.add('running');
    this.element.setAttribute('aria-busy', 'true');
    this.foot.replaceChildren();
    this.clock = setInterval(() => this.showRunning(), 200);
    this.showRunning();
  }

  /** Something came; shown with the next frame. */
  grow() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.timing) this.showText();
    });
  }

  showText() {
    const {message} = this;
    if (message.reasoning) {
      this.thoughts.hidden = false;
      const thinking = this.timing && !message.content;
      this.thoughtsLabel.textContent = thinking ? 'Thinking ...' : `Thoughts (${message.reasoning.split(/\s+/).length} words)`;
      this.thoughtsView.update(message.reasoning);
    }
    this.textView.update(message.content);
    this.element.classList.toggle('waiting', this.timing !== null && !message.content && !message.reasoning);
  }

  showRunning() {
    const now = performance.now();
    const {first, begin, last, pieces} = this.timing;
    const text = first === null ? `waiting ${((now - begin) / 1000).toFixed(1)} s`
      : counted(pieces, 'token') + (pieces > 1 && last > first ? ` \u00b7 ${((pieces - 1) / (last - first) * 1000).toFixed(1)}/s` : '');
    this.foot.replaceChildren(make('span', {class: 'figures', text}));
    this.element.classList.toggle('waiting', !this.message.content && !this.message.reasoning);
  }

  finish() {
    clearInterval(this.clock);
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.timing = null;
    this.element.classList.remove('running', 'waiting');
    this.element.removeAttribute('aria-busy');
    this.foot.replaceChildren();
    if (this.message.role !== 'assistant') return this.showUserFoot();
    this.showText();
    this.showCalls();
    this.showProblem();
    this.showFoot();
  }

  showUserFoot() {
    if (this.message.role === 'user')
      this.foot.append(iconButton('edit', 'Edit, and ask again from here', () => this.edit()));
    this.foot.append(copyButton(() => this.message.content, 'Copy the message'));
  }

  /** The text becomes a field; sending it takes away what came after. */
  edit() {
    const area = make('textarea', {class: 'edit', 'aria-label': 'Edit the message', rows: Math.min(12, this.message.content.split('\n').length + 1)});
    area.value = this.message.content;
    const back = () => {
      this.body.replaceChildren(make('div', {class: 'plain', text: this.message.content}));
      this.finish();
    };
    const send = () => {
      const text = area.value;
      if (!text.trim()) return;
      this.chat.cutFrom(this.chat.indexOf(this));
      this.chat.send(text);
    };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') back();
      else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.body.replaceChildren(area);
    this.foot.replaceChildren(make('button', {class: 'primary', type: 'button', text: 'Ask again', onclick: send}),
                              make('button', {class: 'quiet', type: 'button', text: 'Cancel', onclick: back}));
    area.focus();
  }

  showCalls() {
    const calls = (this.message.calls ?? []).filter((call) => call);
    this.calls.replaceChildren(...calls.map((call) => {
      let text = call.function.arguments;
      try {
        text = JSON.stringify(JSON.parse(text), null, 2);
      } catch { /* shown as it is */ }
      return make('div', {class: 'call'}, make('div', {class: 'label'}, icon('tool'), 'calls ', make('code', {text: call.function.name})),
                  codeBlock(text, 'json'));
    }));
    if (calls.length && this.chat.views.at(-1) === this) this.calls.append(this.resultForm(calls));
  }

  /** For who tries tools by hand: the results that the calls should have. */
  resultForm(calls) {
    const areas = calls.map((call) => make('textarea', {rows: 2, 'aria-label': `Result of ${call.function.name}`,
                                                        placeholder: `what ${call.function.name} gives back`}));
    const send = async () => {
      form.remove();
      calls.forEach((call, i) => this.chat.add({role: 'tool', content: areas[i].value, call_id: call.id, name: call.function.name}));
      await this.chat.answer();
    };
    const form = make('div', {class: 'results'}, ...areas,
                      make('button', {class: 'quiet', type: 'button', text: 'Send the results', onclick: send}));
    return form;
  }

  showProblem() {
    const {error, warnings} = this.message;
    this.problem.hidden = !error && !warnings?.length;
    this.problem.className = error ? 'problem' : 'problem mild';
    this.problem.replaceChildren();
    if (error) {
      this.problem.append(make('p', {text: error.message}),
                          error.requestId ? make('p', {class: 'faint', text: `request ${error.requestId}`}) : '',
                          this.chat.retryButton(this));
    }
    for (const warning of warnings ?? []) this.problem.append(make('p', {text: typeof warning === 'string' ? warning : warning.message}));
  }

  showFoot() {
    const {message} = this;
    const text = figuresText(message);
    if (text) this.foot.append(make('span', {class: 'figures', text, title: figuresTitle(message)}));
    if (message.stopped) this.foot.append(make('span', {class: 'chip', text: 'stopped'}));
    if (message.finish === 'length') this.foot.append(make('span', {class: 'chip', text: 'cut at max_tokens'}));
    if (message.content) this.foot.append(copyButton(() => message.content, 'Copy the answer'));
    if (!message.error) this.foot.append(iconButton('again', 'Another answer', () => this.chat.regenerate(this)));
    if (message.receipt)
      this.foot.append(iconButton('receipt', 'Receipt: what this answer came from, and the same bytes again', () => showReceipt(message.receipt)));
  }
}

function figuresText({figures}) {
  if (!figures) return '';
  const parts = [counted(figures.tokens, 'token')];
  if (figures.per_second) parts.push(`${figures.per_second.toFixed(figures.per_second < 100 ? 1 : 0)}/s`);
  parts.push(`first after ${figures.first_ms < 1000 ? `${figures.first_ms.toFixed(0)} ms` : `${(figures.first_ms / 1000).toFixed(1)} s`}`);
  return parts.join(' \u00b7 ');
}

function figuresTitle({figures, model}) {
  const parts = [model ? `model ${model}` : null, figures.prompt_tokens !== null ? `prompt ${figures.prompt_tokens} tokens` : null,
                 figures.cached_tokens ? `${figures.cached_tokens} of them found in the cache` : null, 'measured by this page'];
  return parts.filter(Boolean).join(', ');
}
