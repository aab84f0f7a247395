// The list on the left: find, open, rename, export, delete.
import {copyButton, dialog, download, iconButton, make} from './dom.js';
import {asMarkdown, listConversations, loadConversation, watchStore} from './store.js';

const DAY = 86400000;

function age(time) {
  const today = new Date().setHours(0, 0, 0, 0);
  if (time >= today) return 'Today';
  if (time >= today - DAY) return 'Yesterday';
  return time >= today - 7 * DAY ? 'Last week' : 'Earlier';
}

export class ConversationList {
  constructor(element, search, chat) {
    Object.assign(this, {element, search, chat});
    search.addEventListener('input', () => this.show());
    chat.addEventListener('change', () => this.show());
    watchStore(() => this.show());
    element.addEventListener('keydown', (event) => this.key(event));
    this.show();
  }

  openNewest() {
    const newest = listConversations()[0];
    const fresh = newest && Date.now() - newest.changed < DAY / 2;  // who comes back after a night begins anew
    if (fresh) this.chat.open(newest.id);
    else this.chat.show(this.chat.conversation);
  }

  found(words) {
    const wanted = words.trim().toLowerCase();
    const all = listConversations();
    if (!wanted) return all;
    return all.filter((one) => one.title.toLowerCase().includes(wanted) ||
                               one.messages.some((message) => message.content?.toLowerCase().includes(wanted)));
  }

  show() {
    const found = this.found(this.search.value);
    const items = [];
    let group = null;
    for (const one of found) {
      if (age(one.changed) !== group) items.push(make('h2', {class: 'group', text: (group = age(one.changed))}));
      items.push(this.item(one));
    }
    if (!found.length) items.push(make('p', {class: 'faint none', text: this.search.value ? 'Nothing found' : 'No conversations yet'}));
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.element.replaceChildren(...items);
    if (focused) this.element.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  item(one) {
    const current = one.id === this.chat.conversation.id;
    const open = make('button', {class: 'conversation', type: 'button', text: one.title || 'Without a title', title: one.title,
                                 dataset: {id: one.id}, 'aria-current': current ? 'true' : null, onclick: () => this.open(one.id)});
    return make('div', {class: current ? 'entry current' : 'entry'}, open,
                iconButton('edit', `Rename, export or delete "${one.title}"`, () => this.details(one.id)));
  }

  open(id) {
    this.chat.open(id);
    document.body.classList.remove('sidebar-shown');
  }

  key(event) {
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!step) return;
    const all = [...this.element.querySelectorAll('.conversation')];
    all[all.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }

  details(id) {
    const one = id === this.chat.conversation.id ? this.chat.conversation : loadConversation(id);
    if (!one) return;
    const title = make('input', {id: 'title', value: one.title, maxlength: 120});
    const name = () => (one.title || 'conversation').replace(/[^\w -]+/g, '').trim().slice(0, 40) || 'conversation';
    const form = make('form', {method: 'dialog', class: 'details-form'},
      make('label', {for: 'title', text: 'Title'}), title,
      make('p', {class: 'faint', text: `${one.messages.length} messages, last changed ${new Date(one.changed).toLocaleString()}`}),
      make('div', {class: 'row'},
        iconButton('save', 'Export as Markdown', () => download(`${name()}.md`, 'text/markdown', asMarkdown(one)), 'Markdown'),
        iconButton('save', 'Export as JSON', () => download(`${name()}.json`, 'application/json', JSON.stringify(one, null, 2)), 'JSON'),
        copyButton(() => asMarkdown(one), 'Copy as Markdown'),
        make('div', {class: 'grow'}),
        make('button', {class: 'danger', type: 'button', text: 'Delete', onclick: () => this.askDelete(one, box)}),
        make('button', {class: 'primary', text: 'Done'})));
    const {box, closed} = dialog('Conversation', form);
    closed.then(() => title.value.trim() && title.value !== one.title && this.chat.rename(id, title.value.trim()));
    title.select();
  }

  /** The second click deletes. */
  askDelete(one, box) {
    const button = box.querySelector('.danger');
    if (button.dataset.sure) {
      box.close();
      this.chat.remove(one.id);
      return;
    }
    button.dataset.sure = '1';
    button.textContent = 'Really delete?';
  }
}
