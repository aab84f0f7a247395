// Colours for code: comments, texts, numbers and words that most languages keep for themselves. No language is parsed; what is not
// recognized is plain.
import {make} from './dom.js';

const WORDS = new Set(('abstract and as assert async await bool break case catch char class const constexpr continue def default ' +
  'delete do double elif else enum except export extends extern false final finally float fn for from func function global goto if ' +
  'impl implements import in inline instanceof int interface is lambda let long match mod module mut namespace new nil noexcept ' +
  'None nonlocal not null nullptr or override package pass private protected public pub raise return self short signed sizeof ' +
  'static struct super switch template this throw throws trait true True False try type typedef typename typeof undefined union ' +
  'unsafe unsigned use using var virtual void volatile where while with yield select insert update create table join on ' +
  'group order by echo fi then done esac elseif end local').split(' '));

// "#" and "--" begin comments in some languages and mean other things in others.
const HASH = new Set(['python', 'py', 'sh', 'bash', 'shell', 'zsh', 'ruby', 'rb', 'yaml', 'yml', 'toml', 'perl', 'r', 'make',
                      'makefile', 'cmake', 'dockerfile', 'ini', 'conf', 'console']);
const DASHES = new Set(['sql', 'lua', 'haskell', 'hs', 'ada']);
const NONE = new Set(['', 'text', 'txt', 'plain', 'plaintext', 'markdown', 'md']);

function pattern(language) {
  const comments = HASH.has(language) ? '#[^\\n]*' : DASHES.has(language) ? '--[^\\n]*'
    : language === 'html' || language === 'xml' ? '<!--[^]*?-->' : '\\/\\/[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)';
  const texts = '"""[^]*?(?:"""|$)|"(?:\\\\.|[^"\\\\\\n])*"?|\'(?:\\\\.|[^\'\\\\\\n])*\'?|`(?:\\\\.|[^`\\\\])*`?';
  return new RegExp(`(${comments})|(${texts})|\\b(\\d[\\w.]*)|([A-Za-z_]\\w*)`, 'g');
}

/** The code as text and coloured spans. */
export function highlight(code, language = '') {
  const name = language.toLowerCase();
  if (NONE.has(name) || code.length > 100000) return [code];
  const parts = [];
  let at = 0;
  for (const match of code.matchAll(pattern(name))) {
    const [text, comment, quoted, number, word] = match;
    const kind = comment ? 'c' : quoted ? 's' : number ? 'n' : word && WORDS.has(word) ? 'k' : null;
    if (!kind) continue;
    if (match.index > at) parts.push(code.slice(at, match.index));
    parts.push(make('span', {class: `hl-${kind}`, text}));
    at = match.index + text.length;
  }
  parts.push(code.slice(at));
  return parts;
}
