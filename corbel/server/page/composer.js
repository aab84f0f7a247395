// Where messages are written. What is being written survives a reload; a message sent while the model loads goes when it is there.
import {byId, make} from './dom.js';

const DRAFT = 'corbel.draft';

export class Composer {
  constructor(chat, server) {
    Object.assign(this, {chat, server});
    this.area = byId('composer-text');
    this.sendButton = byId('send');
    this.stopButton = byId('stop');
    this.waiting = false;  // for the model
    this.area.value = sessionStorage.getItem(DRAFT) ?? '';
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.send();
    });
    this.stopButton.addEventListener('click', () => this.stop());
    this.area.addEventListener('input', () => this.resize());
    this.area.addEventListener('keydown', (event) => this.key(event));
    chat.addEventListener('change', () => this.update());
    server.addEventListener('state', () => {
      this.update();
      if (server.ready && this.waiting) this.send();
    });
    chat.onExample = (text) => {
      this.area.value = text;
      this.resize();
      this.send();
    };
    this.resize();
  }

  focus() { this.area.focus(); }

  key(event) {
    // While an input method composes a character, Enter belongs to it.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    } else if (event.key === 'ArrowUp' && !this.area.value) {
      const last = this.chat.views.filter((view) => view.message.role === 'user').at(-1);
      if (last && !this.chat.busy) {
        event.preventDefault();
        last.edit();
      }
    }
  }

  send() {
    const text = this.area.value;
    if (this.chat.busy || !text.trim()) return;
    this.waiting = !this.server.ready;
    if (this.waiting) return this.update();
    this.area.value = '';
    this.resize();
    this.chat.send(text);
  }

  stop() {
    this.waiting = false;
    this.chat.stop();
    this.update();
    this.focus();
  }

  resize() {
    sessionStorage.setItem(DRAFT, this.area.value);
    this.area.style.setProperty('height', 'auto');
    this.area.style.setProperty('height', `${Math.min(this.area.scrollHeight, 260)}px`);
    this.update();
  }

  update() {
    const running = this.chat.busy || this.waiting;
    const focused = document.activeElement === this.sendButton || document.activeElement === this.stopButton;
    this.sendButton.hidden = running;
    this.stopButton.hidden = !running;
    this.sendButton.disabled = !this.area.value.trim();
    if (focused) this.focus();
    byId('hint').replaceChildren(...(this.waiting ? ['The message goes as soon as the server is ready. ', make('kbd', {text: 'Esc'}), ' takes it back.']
      : [make('kbd', {text: 'Enter'}), ' sends, ', make('kbd', {text: 'Shift Enter'}), ' new line, ', make('kbd', {text: 'Esc'}), ' stops']));
  }
}
