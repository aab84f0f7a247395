// What stands inside a line: emphasis, code, links. One pass from left to right; a mark that is not closed is text.
import {make} from './dom.js';

const SAFE = /^(https?:|mailto:)/i;
const ADDRESS = /^https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}*_]/;

/** The address, if it is one that a click may follow. */
export function safeAddress(text) {
  if (!SAFE.test(text)) return null;
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

function link(address, children) {
  const safe = safeAddress(address);
  if (!safe) return make('span', {}, ...children, ` (${address})`);
  return make('a', {href: safe, target: '_blank', rel: 'noopener noreferrer', title: safe}, ...children);
}

/** Where the bracket that opens at `at` closes; -1 when it does not. */
function closing(text, at, open, close) {
  let level = 0;
  for (let i = at; i < text.length && i < at + 2000; ++i) {
    if (text[i] === '\\') ++i;
    else if (text[i] === open) ++level;
    else if (text[i] === close && --level === 0) return i;
  }
  return -1;
}

/** Each reads what begins at `at`: [node, length], or null when it is something else. */
const READERS = {
  '\\': (text, at) => (/[!-/:-@[-`{-~]/.test(text[at + 1] ?? '') ? [text[at + 1], 2] : null),
  '`': (text, at) => {
    const marks = /^`+/.exec(text.slice(at))[0];
    const end = text.indexOf(marks, at + marks.length);
    if (end < 0 || text[end + marks.length] === '`') return null;
    const inside = text.slice(at + marks.length, end).replaceAll('\n', ' ');
    return [make('code', {text: inside.replace(/^ (.*\S.*) $/, '$1')}), end + marks.length - at];
  },
  '*': (text, at) => emphasis(text, at, '*'),
  '_': (text, at) => (/\w/.test(text[at - 1] ?? '') ? null : emphasis(text, at, '_')),  // snake_case is no emphasis
  '~': (text, at) => {
    const end = text.startsWith('~~', at) ? text.indexOf('~~', at + 2) : -1;
    return end > at + 2 ? [make('del', {}, ...inline(text.slice(at + 2, end))), end + 2 - at] : null;
  },
  '[': (text, at) => {
    const end = closing(text, at, '[', ']');
    if (end < 0 || text[end + 1] !== '(') return null;
    const last = closing(text, end + 1, '(', ')');
    if (last < 0) return null;
    const address = text.slice(end + 2, last).trim().split(/\s+["']/)[0].replace(/^<(.*)>$/, '$1');
    return [link(address, inline(text.slice(at + 1, end))), last + 1 - at];
  },
  '!': (text, at) => {
    const read = text[at + 1] === '[' ? READERS['['](text, at + 1) : null;
    return read && [read[0], read[1] + 1];
  },
  '<': (text, at) => {
    const match = /^<(https?:\/\/[^\s<>]+)>/.exec(text.slice(at, at + 2000));
    return match && [link(match[1], [match[1]]), match[0].length];
  },
  'h': (text, at) => {
    if (/\w/.test(text[at - 1] ?? '') || !text.startsWith('http', at)) return null;
    const match = ADDRESS.exec(text.slice(at, at + 2000));
    return match && [link(match[0], [match[0]]), match[0].length];
  },
  '\n': () => [make('br'), 1],
};

function emphasis(text, at, mark) {
  const strong = text[at + 1] === mark;
  const marks = mark.repeat(strong ? 2 : 1);
  const from = at + marks.length;
  if (!text[from] || /\s/.test(text[from])) return null;
  let tries = 100;  // a text full of marks must not take the square of its length
  for (let end = text.indexOf(marks, from); end >= 0 && tries > 0; end = text.indexOf(marks, end + 1), --tries) {
    const after = end + marks.length;
    if (end === from || /\s/.test(text[end - 1]) || text[end - 1] === '\\') continue;
    if (!strong && (text[after] === mark || text[end - 1] === mark)) continue;  // belongs to a strong one inside
    if (mark === '_' && /\w/.test(text[after] ?? '')) continue;
    return [make(strong ? 'strong' : 'em', {}, ...inline(text.slice(from, end))), after - at];
  }
  return null;
}

export function inline(text) {
  const parts = [];
  let plain = '';
  for (let at = 0; at < text.length;) {
    const read = READERS[text[at]]?.(text, at) ?? null;
    if (!read) {
      plain += text[at++];
      continue;
    }
    const [part, length] = read;
    if (typeof part === 'string') {
      plain += part;
    } else {
      if (plain) parts.push(plain);
      plain = '';
      parts.push(part);
    }
    at += length;
  }
  if (plain) parts.push(plain);
  return parts;
}
