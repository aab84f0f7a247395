// Keys, and the list of commands behind Ctrl+K.
import {byId, dialog, download, make} from './dom.js';
import {asMarkdown, listConversations} from './store.js';

export class Keys {
  constructor(parts) {
    Object.assign(this, parts);
    addEventListener('keydown', (event) => this.key(event));
    byId('palette-open').addEventListener('click', () => this.palette());
  }

  commands() {
    const {chat, composer, panels, settings, turnTheme} = this;
    const last = chat.views.at(-1);
    const all = [
      ['New conversation', 'Alt N', () => (chat.startNew(), composer.focus())],
      ['Stop the answer', 'Esc', () => composer.stop(), chat.busy],
      ['Another answer', 'Alt R', () => chat.regenerate(last), !chat.busy && last?.message.role === 'assistant'],
      ['Settings', 'Alt 1', () => panels.goTo('settings')],
      ['Live figures', 'Alt 2', () => panels.goTo('live')],
      ['The model', 'Alt 3', () => panels.goTo('card')],
      ['Hide or show the panel', 'Alt P', () => panels.toggle()],
      ['Change the colours', '', turnTheme],
      ['Back to the model\'s defaults', '', () => settings.reset()],
      ['Export this conversation as Markdown', '', () => download('conversation.md', 'text/markdown', asMarkdown(chat.conversation)),
       chat.conversation.messages.length > 0],
      ['Export all conversations as JSON', '', () => download('conversations.json', 'application/json', JSON.stringify(listConversations(), null, 2))],
    ];
    return all.filter(([, , , fits = true]) => fits).map(([name, keys, run]) => ({name, keys, run}));
  }

  key(event) {
    const letter = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && letter === 'k') {
      event.preventDefault();
      return this.palette();
    }
    if (document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape') return this.escape(event);
    if (event.altKey && !event.ctrlKey && !event.metaKey) {
      const code = event.code.replace(/^(Key|Digit)/, '');
      const command = this.commands().find((one) => one.keys === `Alt ${code}`);
      if (command) {
        event.preventDefault();
        command.run();
      }
    } else if (event.key === '/' && !/^(input|textarea|select)$/i.test(event.target.tagName)) {
      event.preventDefault();
      this.composer.focus();
    }
  }

  escape(event) {
    event.preventDefault();
    if (this.panels.closeDrawers()) return;
    if (this.chat.busy || this.composer.waiting) this.composer.stop();
    else this.composer.focus();
  }

  /** Commands and conversations by a few letters; arrows choose, Enter does. */
  palette() {
    if (document.querySelector('dialog.palette')) return;
    const input = make('input', {type: 'text', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-list',
                                 'aria-label': 'Command or conversation', placeholder: 'Command or conversation', autocomplete: 'off'});
    const list = make('div', {id: 'palette-list', role: 'listbox', 'aria-label': 'Found'});
    const {box, closed} = dialog('Commands', make('div', {}, input, list));
    box.classList.add('palette');
    let entries = [];
    let at = 0;
    const choose = (index) => {
      at = (index + entries.length) % Math.max(entries.length, 1);
      [...list.children].forEach((child, i) => child.setAttribute('aria-selected', String(i === at)));
      list.children[at]?.scrollIntoView({block: 'nearest'});
      input.setAttribute('aria-activedescendant', list.children[at]?.id ?? '');
    };
    const run = async (entry) => {
      box.close();
      await closed;
      entry.run();
    };
    const show = () => {
      entries = this.entries(input.value);
      list.replaceChildren(...entries.map((entry, i) =>
        make('div', {role: 'option', id: `palette-${i}`, class: 'option', onclick: () => run(entry), onmousemove: () => at !== i && choose(i)},
             make('span', {class: 'option-name', text: entry.name}), make('span', {class: 'faint', text: entry.kind ?? ''}),
             entry.keys ? make('kbd', {text: entry.keys}) : null)));
      if (!entries.length) list.append(make('p', {class: 'faint none', text: 'Nothing found'}));
      choose(0);
    };
    input.addEventListener('input', show);
    input.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown') choose(at + 1);
      else if (event.key === 'ArrowUp') choose(at - 1);
      else if (event.key === 'Enter' && entries[at]) run(entries[at]);
      else return;
      event.preventDefault();
    });
    show();
    input.focus();
  }

  entries(words) {
    const wanted = words.trim().toLowerCase();
    const commands = this.commands().filter(({name}) => name.toLowerCase().includes(wanted));
    const conversations = this.list.found(words).slice(0, 30).map((one) => (
      {name: one.title || 'Without a title', kind: 'conversation', run: () => this.list.open(one.id)}));
    return [...commands, ...conversations];
  }
}
