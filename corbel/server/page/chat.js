// One conversation: what was said, and the answer that is coming. Everything that changes it goes through here.
import {ApiError, streamJson} from './api.js';
import {announce, iconButton, make} from './dom.js';
import {MessageView} from './message.js';
import {SettingError} from './settings.js';
import {loadConversation, newConversation, removeConversation, saveConversation} from './store.js';

const NEAR_END = 60;  // pixels: whoever is this close to the end follows it

export class Chat extends EventTarget {
  constructor({messages, scroll, toEnd, server, settings}) {
    super();
    Object.assign(this, {element: messages, scroll, toEnd, server, settings});
    this.conversation = newConversation();
    this.views = [];
    this.abort = null;  // of the answer under way
    this.following = true;
    this.onExample = (text) => this.send(text);
    scroll.addEventListener('scroll', () => this.noteScroll());
    toEnd.addEventListener('click', () => this.goToEnd());
    server.addEventListener('state', () => this.showEmpty());
    new ResizeObserver(() => this.follow()).observe(messages);
  }

  get busy() { return this.abort !== null; }

  startNew() {
    if (!this.conversation.messages.length) return this.show(this.conversation);
    this.show(newConversation());
  }

  open(id) {
    const conversation = loadConversation(id);
    if (conversation) this.show(conversation);
    return conversation !== null;
  }

  show(conversation) {
    this.stop();
    this.conversation = conversation;
    this.element.replaceChildren();
    this.views = [];
    for (const message of conversation.messages) this.addView(message);
    this.showEmpty();
    this.following = true;
    this.follow();
    this.changed();
  }

  remove(id) {
    removeConversation(id);
    if (id === this.conversation.id) this.show(newConversation());
    this.changed();
  }

  rename(id, title) {
    const conversation = id === this.conversation.id ? this.conversation : loadConversation(id);
    if (!conversation) return;
    conversation.title = title;
    this.save(conversation);
  }

  addView(message) {
    this.element.querySelector('.empty')?.remove();
    const view = new MessageView(message, this);
    this.views.push(view);
    this.element.append(view.element);
    return view;
  }

  /** What a conversation without messages looks like. */
  showEmpty() {
    this.element.querySelector('.empty')?.remove();
    if (this.conversation.messages.length) return;
    const examples = ['What is a KV cache?', 'Explain prefill and decode in a table.', 'Write a C++ function that reverses a string.'];
    const box = make('div', {class: 'empty'},
      make('h1', {text: this.server.ready ? this.server.model : 'Corbel'}),
      make('p', {class: 'faint', text: 'Answers are made on this server. Conversations stay in this browser.'}),
      make('div', {class: 'examples'}, ...examples.map((text) =>
        make('button', {class: 'example', type: 'button', text, onclick: () => this.onExample(text)}))));
    this.element.append(box);
  }

  async send(text) {
    if (this.busy || !text.trim()) return;
    this.add({role: 'user', content: text});
    if (!this.conversation.title) this.conversation.title = text.trim().replace(/\s+/g, ' ').slice(0, 60);
    await this.answer();
  }

  add(message) {
    this.conversation.messages.push(message);
    this.following = true;
    const view = this.addView(message);
    this.save();
    return view;
  }

  /** Takes away the message at `index` and all after it. */
  cutFrom(index) {
    this.stop();
    this.conversation.messages.splice(index);
    for (const view of this.views.splice(index)) view.element.remove();
    this.showEmpty();
    this.save();
  }

  indexOf(view) { return this.views.indexOf(view); }

  /** The answer again, with the settings of now. */
  async regenerate(view) {
    this.cutFrom(this.indexOf(view));
    await this.answer();
  }

  /** The messages as the API takes them: without what never came, and thoughts stay here. */
  requestMessages() {
    const system = this.settings.values.system?.trim();
    const messages = system ? [{role: 'system', content: system}] : [];
    for (const message of this.conversation.messages) {
      // Answers that failed or were stopped before their first word, and the one that is being asked for.
      if (message.role === 'assistant' && !message.content && !message.calls?.length) continue;
      const sent = {role: message.role, content: message.content ?? ''};
      if (message.calls?.length) sent.tool_calls = message.calls;
      if (message.role === 'tool') sent.tool_call_id = message.call_id;
      messages.push(sent);
    }
    return messages;
  }

  async answer() {
    const message = {role: 'assistant', content: '', model: this.server.model};
    const view = this.add(message);
    this.abort = new AbortController();
    this.changed();
    const timing = {begin: performance.now(), first: null, last: null, pieces: 0};
    view.start(timing);
    try {
      const body = this.settings.request(this.server.model, this.requestMessages());
      await this.read(body, message, view, timing);
    } catch (error) {
      this.note(error, message);
    }
    this.abort = null;
    view.finish();
    this.save();
    this.changed();
    if (message.error) announce(`Error: ${message.error.message}`);
    else announce(message.stopped ? 'Stopped' : `Answer complete, ${message.figures?.tokens ?? 0} tokens`);
  }

  async read(body, message, view, timing) {
    try {
      for await (const event of streamJson('v1/chat/completions', body, this.abort.signal)) {
        timing.last = performance.now();
        take(event, message, timing);
        view.grow();
      }
    } catch (error) {
      // Servers before receipts refuse the field; then there are none.
      if (!(error instanceof ApiError) || error.param !== 'return_receipt') throw error;
      this.settings.receipts = false;
      delete body.return_receipt;
      await this.read(body, message, view, timing);
    } finally {
      noteFigures(message, timing);
    }
  }

  note(error, message) {
    if (error.name === 'AbortError') {
      message.stopped = true;
    } else if (error instanceof ApiError) {
      message.error = {message: error.message, param: error.param, requestId: error.requestId};
      if (error.param) this.settings.point(error.param);
      if (error.status === 401) this.server.readModels();
      if (error.status === 0 || error.status === 503) this.server.check();
    } else if (error instanceof SettingError) {
      message.error = {message: error.message};
    } else {
      message.error = {message: `This page failed: ${error.message}`};
      console.error(error);
    }
  }

  stop() {
    this.abort?.abort();
  }

  save(conversation = this.conversation) {
    if (!conversation.messages.length) return this.changed();
    if (!saveConversation(conversation) && !this.warned) {
      this.warned = true;
      this.element.append(make('p', {class: 'notice', text: 'This browser keeps no more conversations: its room for this page is used up. ' +
        'This one will be gone when the page is closed; delete older ones.'}));
    }
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event('change'));
  }

  noteScroll() {
    const rest = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight;
    this.following = rest < NEAR_END;
    this.toEnd.hidden = rest < 2 * NEAR_END;
  }
  follow() {
    if (this.following) this.scroll.scrollTop = this.scroll.scrollHeight;
    this.noteScroll();
  }
  goToEnd() {
    this.following = true;
    this.follow();
  }

  /** "Try again" below an error. */
  retryButton(view) {
    return iconButton('again', 'Try again', () => this.regenerate(view), 'Try again');
  }
}

/** One event of the stream into the message. */
function take(event, message, timing) {
  if (event.usage) message.usage = event.usage;
  if (event.warnings) message.warnings = event.warnings;
  const choice = event.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  if (delta.content || delta.reasoning_content || delta.tool_calls) {
    timing.first ??= timing.last;
    ++timing.pieces;
  }
  if (delta.reasoning_content) message.reasoning = (message.reasoning ?? '') + delta.reasoning_content;
  if (delta.content) message.content += delta.content;
  for (const call of delta.tool_calls ?? []) takeCall(call, message);
  if (choice.finish_reason) message.finish = choice.finish_reason;
  if (choice.receipt) message.receipt = choice.receipt;
}

function takeCall(delta, message) {
  message.calls ??= [];
  const call = (message.calls[delta.index] ??= {id: '', type: 'function', function: {name: '', arguments: ''}});
  if (delta.id) call.id = delta.id;
  if (delta.function?.name) call.function.name += delta.function.name;
  if (delta.function?.arguments) call.function.arguments += delta.function.arguments;
}

/** As this page saw them: with the network, without the server's clock. */
function noteFigures(message, timing) {
  if (timing.first === null) return;
  const tokens = message.usage?.completion_tokens ?? timing.pieces;
  const seconds = (timing.last - timing.first) / 1000;
  message.figures = {
    tokens,
    prompt_tokens: message.usage?.prompt_tokens ?? null,
    cached_tokens: message.usage?.prompt_tokens_details?.cached_tokens ?? null,
    first_ms: timing.first - timing.begin,
    per_second: tokens > 1 && seconds >= 0.01 ? (tokens - 1) / seconds : null,
  };
}
