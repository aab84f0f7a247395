// Markdown to elements, for text that comes in pieces. A text is cut into blocks; blocks that have not changed since the last piece
// keep their elements, so a long answer costs what its last paragraph costs. HTML in the text is text; images are links (nothing is
// fetched from elsewhere); links lead to http, https and mailto alone.
import {copyButton, make} from './dom.js';
import {inline} from './markdown_inline.js';
import {highlight} from './highlight.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])\s*(\1\s*){2,}$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_LINE = /^\s*\|?(\s*:?-+:?\s*\|)+\s*:?-*:?\s*$/;

/** The text as blocks: {kind, lines}. Joined by line ends they are the text but for empty lines between them. */
export function cutBlocks(text) {
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    const {kind, end} = blockAt(lines, at);
    if (kind !== 'empty') blocks.push({kind, lines: lines.slice(at, end)});
    at = end;
  }
  return blocks;
}

function blockAt(lines, at) {
  const line = lines[at];
  if (!line.trim()) return {kind: 'empty', end: at + 1};
  const fence = FENCE.exec(line);
  if (fence) return {kind: 'code', end: fenceEnd(lines, at, fence[1])};
  if (HEADING.test(line)) return {kind: 'heading', end: at + 1};
  if (RULE.test(line)) return {kind: 'rule', end: at + 1};
  if (/^\s*>/.test(line)) return {kind: 'quote', end: runEnd(lines, at, (l) => /^\s*>/.test(l) || isPlain(l))};
  if (ITEM.test(line)) return {kind: 'list', end: listEnd(lines, at)};
  if (line.includes('|') && TABLE_LINE.test(lines[at + 1] ?? ''))
    return {kind: 'table', end: runEnd(lines, at + 2, (l) => l.includes('|') && l.trim())};
  return {kind: 'paragraph', end: runEnd(lines, at + 1, isPlain)};
}

/** Goes on a paragraph. */
function isPlain(line) {
  return line.trim() && !FENCE.test(line) && !HEADING.test(line) && !RULE.test(line) && !ITEM.test(line) && !/^\s*>/.test(line);
}

function runEnd(lines, at, belongs) {
  while (at < lines.length && belongs(lines[at])) ++at;
  return at;
}

function fenceEnd(lines, at, mark) {
  for (let i = at + 1; i < lines.length; ++i) {
    const trimmed = lines[i].trim();
    if (trimmed.length >= mark.length && trimmed === mark[0].repeat(trimmed.length)) return i + 1;
  }
  return lines.length;
}

const indentOf = (line) => line.match(/^\s*/)[0].length;

/** Items, what is indented below them, and empty lines between these. Fences inside are skipped whole. */
function listEnd(lines, at) {
  let end = at;
  while (end < lines.length) {
    const line = lines[end];
    const fence = FENCE.exec(line.trim());
    if (fence && indentOf(line) >= 2) {
      end = fenceEnd(lines, end, fence[1]);
      continue;
    }
    if (!line.trim()) {
      const next = lines.slice(end).find((l) => l.trim());
      if (!next || !(ITEM.test(next) || indentOf(next) >= 2)) return end;
    } else if (end > at && !ITEM.test(line) && indentOf(line) < 2 && !isPlain(line)) {
      return end;
    } else if (end > at && !ITEM.test(line) && indentOf(line) < 2 && !lines[end - 1].trim()) {
      return end;
    }
    ++end;
  }
  return end;
}

function renderBlock({kind, lines}) {
  switch (kind) {
    case 'code': return renderCode(lines);
    case 'heading': {
      const [, marks, text] = HEADING.exec(lines[0]);
      return make(`h${Math.min(6, marks.length + 2)}`, {}, ...inline(text));  // the page has h1 and h2 of its own
    }
    case 'rule': return make('hr');
    case 'quote': return make('blockquote', {}, ...render(lines.map((line) => line.replace(/^\s*> ?/, '')).join('\n')));
    case 'list': return renderList(lines);
    case 'table': return renderTable(lines);
    default: return make('p', {}, ...inline(lines.map((line) => line.trimStart()).join('\n')));
  }
}

function renderCode(lines) {
  const [, mark, info] = FENCE.exec(lines[0]);
  const closed = lines.length > 1 && lines.at(-1).trim().startsWith(mark[0].repeat(3)) && /^[`~]+$/.test(lines.at(-1).trim());
  const code = lines.slice(1, closed ? -1 : undefined).join('\n');
  return codeBlock(code, info.trim().split(/\s/)[0]);
}

/** Code with its language and a button that copies it. */
export function codeBlock(code, language) {
  return make('div', {class: 'code'},
              make('div', {class: 'code-head'}, make('span', {text: language || 'text'}), copyButton(() => code, 'Copy the code')),
              make('pre', {tabindex: '0'}, make('code', {}, ...highlight(code, language))));
}

function renderList(lines) {
  const base = ITEM.exec(lines[0])[1].length;
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= base + 1) items.push({mark: item[2], lines: [item[3]], indent: line.length - item[3].length});
    else items.at(-1).lines.push(line);
  }
  const ordered = /\d/.test(items[0].mark);
  const list = make(ordered ? 'ol' : 'ul', {start: ordered && items[0].mark !== '1.' ? parseInt(items[0].mark, 10) : null});
  for (const item of items) {
    const task = /^\[([ xX])\]\s+/.exec(item.lines[0]);
    if (task) item.lines[0] = item.lines[0].slice(task[0].length);
    const rest = item.lines.slice(1).map((line) => line.slice(Math.min(indentOf(line), item.indent)));
    const parts = render([item.lines[0], ...rest].join('\n'));
    // An item of one paragraph is shown without the space around one.
    if (parts[0]?.tagName === 'P') parts.splice(0, 1, ...parts[0].childNodes);
    if (task) parts.unshift(make('input', {type: 'checkbox', disabled: true, checked: task[1] !== ' ', 'aria-label': 'task'}), ' ');
    list.append(make('li', {}, ...parts));
  }
  return list;
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function renderTable(lines) {
  const sides = cells(lines[1]).map((cell) => (/^:.*:$/.test(cell) ? 'center' : /:$/.test(cell) ? 'right' : 'left'));
  const row = (line, tag) =>
    make('tr', {}, ...cells(line).slice(0, sides.length).map((cell, i) => make(tag, {class: `side-${sides[i] ?? 'left'}`}, ...inline(cell))));
  return make('div', {class: 'table', tabindex: '0'},
              make('table', {}, make('thead', {}, row(lines[0], 'th')), make('tbody', {}, ...lines.slice(2).map((line) => row(line, 'td')))));
}

let depth = 0;  // of quotes and lists in each other

/** A whole text as elements. */
export function render(text) {
  if (depth > 20) return [make('p', {text})];
  ++depth;
  try {
    return cutBlocks(text).map(renderBlock);
  } finally {
    --depth;
  }
}

/** A text that grows, shown in `element`. */
export class MarkdownView {
  constructor(element) {
    this.element = element;
    this.shown = [];  // source of each block
  }

  update(text) {
    const blocks = cutBlocks(text);
    const sources = blocks.map((block) => block.kind + '\n' + block.lines.join('\n'));
    let same = 0;
    while (same < sources.length && sources[same] === this.shown[same]) ++same;
    while (this.element.childNodes.length > same) this.element.lastChild.remove();
    for (const block of blocks.slice(same)) this.element.append(renderBlock(block));
    this.shown = sources;
  }
}
