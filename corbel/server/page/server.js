// The server as the page sees it: is it there, which models has it, does it need a key. Tells others when that changes.
import {ApiError, getJson, getKey, health, setKey} from './api.js';
import {byId, dialog, make} from './dom.js';

const SOON = 700;   // ms, while something is awaited
const LATER = 5000;

export class Server extends EventTarget {
  constructor() {
    super();
    this.state = 'unknown';  // "ok", "loading", "draining", "away", "locked"
    this.models = [];
    this.select = byId('model');
    this.select.addEventListener('change', () => this.tell('model'));
  }

  get ready() { return this.state === 'ok'; }
  get model() { return this.models.length ? this.select.value : null; }

  start() {
    this.check();
    document.addEventListener('visibilitychange', () => !document.hidden && this.check());
  }

  /** Looks again, now and then once more. */
  async check() {
    clearTimeout(this.timer);
    const status = (await health()) ?? 'away';
    if (status === 'ok' && this.state !== 'ok') await this.readModels();
    else if (status !== 'ok') this.become(status);
    const wait = this.state === 'ok' ? LATER : SOON;
    if (!document.hidden) this.timer = setTimeout(() => this.check(), wait);
  }

  async readModels() {
    try {
      const answer = await getJson('v1/models');
      this.models = answer.data;
      const chosen = this.select.value;
      this.select.replaceChildren(...this.models.map((model) => make('option', {value: model.id, text: model.id})));
      if (this.models.some((model) => model.id === chosen)) this.select.value = chosen;
      this.select.disabled = this.models.length < 2;
      this.become('ok');
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return this.askKey();
      this.become(error.status === 503 ? 'loading' : 'away');
    }
  }

  /** The server needs a key: asks for one until one is right. */
  async askKey() {
    if (this.state === 'locked') return;
    this.become('locked');
    const wrong = getKey() !== '';
    setKey('');
    const input = make('input', {type: 'password', id: 'key', autocomplete: 'off', spellcheck: 'false', required: true});
    const form = make('form', {method: 'dialog', class: 'key-form'},
      make('label', {for: 'key', text: wrong ? 'The server does not know this key. Another one:' : 'This server needs an API key.'}),
      input, make('p', {class: 'faint', text: 'It is kept for this tab alone, until the tab is closed.'}),
      make('div', {class: 'row end'}, make('button', {class: 'primary', text: 'Use this key'})));
    const {box, closed} = dialog('Key', form);
    form.addEventListener('submit', () => setKey(input.value.trim()));
    input.focus();
    await closed;
    box.remove();
    this.state = 'unknown';
    if (getKey()) await this.readModels();
    else this.become('locked');
  }

  become(state) {
    if (state === this.state) return;
    this.state = state;
    byId('dot').dataset.state = state;
    const words = {ok: '', loading: 'loading the model', draining: 'shutting down', away: 'no answer', locked: 'needs a key'};
    byId('state').textContent = words[state] ?? '';
    this.showBanner();
    this.tell('state');
  }

  showBanner() {
    const banner = byId('banner');
    const texts = {
      loading: 'The model is being loaded. You can write already; the message goes when it is ready.',
      draining: 'The server is shutting down. Answers under way are finished.',
      away: 'The server does not answer. Trying again ...',
      locked: 'This server needs an API key.',
    };
    banner.hidden = !texts[this.state];
    banner.className = this.state === 'loading' ? 'calm' : '';
    banner.replaceChildren(texts[this.state] ?? '');
    if (this.state === 'locked') {
      const enter = () => {
        this.state = 'unknown';
        this.askKey();
      };
      banner.append(' ', make('button', {class: 'quiet', text: 'Enter the key', onclick: enter}));
    }
  }

  tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
