// Conversations and settings, in this browser alone (localStorage): one entry for each conversation, so that two tabs that talk in
// different ones do not overwrite each other.

const PREFIX = 'corbel.conversation.';
const SETTINGS = 'corbel.settings';

/** {id, title, changed, messages: [{role, content, reasoning, calls, figures, receipt, error, ...}]} */
function read(key) {
  try {
    const value = JSON.parse(localStorage.getItem(key));
    return value && Array.isArray(value.messages) ? value : null;
  } catch {
    return null;  // of another version, or damaged: left alone
  }
}

export function listConversations() {
  const all = [];
  for (let i = 0; i < localStorage.length; ++i) {
    const key = localStorage.key(i);
    const one = key.startsWith(PREFIX) ? read(key) : null;
    if (one) all.push(one);
  }
  return all.sort((a, b) => b.changed - a.changed);
}

export const loadConversation = (id) => read(PREFIX + id);

export function newConversation() {
  const digits = crypto.getRandomValues(new Uint32Array(2));
  return {id: Date.now().toString(36) + digits[0].toString(36), title: '', changed: Date.now(), messages: []};
}

/** False when the browser's room for this page is used up, even without the receipts of other conversations. */
export function saveConversation(conversation) {
  conversation.changed = Date.now();
  const text = JSON.stringify(conversation);
  if (write(PREFIX + conversation.id, text)) return true;
  for (const other of listConversations().reverse()) {
    if (other.id === conversation.id) continue;
    for (const message of other.messages) delete message.receipt;
    write(PREFIX + other.id, JSON.stringify(other));
    if (write(PREFIX + conversation.id, text)) return true;
  }
  return false;
}

function write(key, text) {
  try {
    localStorage.setItem(key, text);
    return true;
  } catch {
    return false;
  }
}

export const removeConversation = (id) => localStorage.removeItem(PREFIX + id);

export function loadSettings() {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS)) ?? {};
  } catch {
    return {};
  }
}

export const saveSettings = (settings) => write(SETTINGS, JSON.stringify(settings));

/** Calls back when another tab changes anything. */
export function watchStore(changed) {
  addEventListener('storage', (event) => {
    if (event.key === null || event.key.startsWith('corbel.')) changed(event.key);
  });
}

/** A conversation as people read it. */
export function asMarkdown(conversation) {
  const parts = [`# ${conversation.title || 'Conversation'}\n`];
  for (const message of conversation.messages) {
    parts.push(`## ${message.role}\n`);
    if (message.reasoning) parts.push(message.reasoning.replace(/^/gm, '> ') + '\n');
    if (message.content) parts.push(message.content + '\n');
    for (const call of message.calls ?? []) parts.push('```json\n' + JSON.stringify(call.function, null, 2) + '\n```\n');
    if (message.error) parts.push(`(error: ${message.error.message})\n`);
  }
  return parts.join('\n');
}
