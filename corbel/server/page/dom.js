// Elements are made here, from text alone: nothing of what a model or a server says is ever parsed as HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `make('button', {class: 'x', onclick: f, text: 'Go'}, child, ...)`. Null children are left out. */
export function make(tag, fields = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'text') element.textContent = value;
    else if (name === 'class') element.className = value;
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, fields = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(fields)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** "1 token", "2 tokens". */
export const counted = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;

export const byId = (id) => document.getElementById(id);

const PATHS = {
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M7 7h10v10H7z',
  down: 'M12 5v14M6 13l6 6 6-6',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  check: 'M5 13l4 4L19 7',
  again: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
  edit: 'M4 20l1-5L16 4l4 4L9 19z',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  receipt: 'M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6',
  replay: 'M4 13a8 8 0 1 0 2-6M4 5v5h5M10 9l5 3-5 3z',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l4 4',
  panel: 'M4 5h16v14H4zM14 5v14',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2',
  moon: 'M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10',
  save: 'M12 4v11M7 10l5 5 5-5M5 20h14',
  tool: 'M14 6a4 4 0 0 0-5 5L4 16l4 4 5-5a4 4 0 0 0 5-5l-3 3-3-3z',
};

export function icon(name) {
  const path = svg('path', {d: PATHS[name], fill: name === 'stop' ? 'currentColor' : 'none', stroke: 'currentColor', 'stroke-width': 1.8,
                            'stroke-linecap': 'round', 'stroke-linejoin': 'round'});
  return svg('svg', {viewBox: '0 0 24 24', 'aria-hidden': 'true', class: 'ico'}, path);
}

/** Puts the icons that index.html names into their places. */
export function placeIcons() {
  for (const element of document.querySelectorAll('[data-icon]')) element.prepend(icon(element.dataset.icon));
}

export function setIcon(element, name) {
  element.querySelector('svg.ico')?.remove();
  element.prepend(icon(name));
}

/** A small button with an icon and a name for those who do not see it. */
export function iconButton(name, label, onclick, text = null) {
  return make('button', {class: text ? 'quiet' : 'icon', type: 'button', 'aria-label': text ? null : label, title: label, onclick},
              icon(name), text);
}

/** Copies, and shows for a moment that it has. */
export function copyButton(getText, label = 'Copy') {
  const button = iconButton('copy', label, async () => {
    const done = await copy(getText());
    setIcon(button, done ? 'check' : 'close');
    announce(done ? 'Copied' : 'The browser does not let this page copy');
    setTimeout(() => setIcon(button, 'copy'), 1500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // over plain HTTP from another machine there is no clipboard; the older way still works
    const area = make('textarea', {class: 'hidden'});
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** Said by screen readers. */
export function announce(text) {
  byId('announce').textContent = text;
}

/** Gives the user a file. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], {type}));
  const link = make('a', {href: address, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** A modal dialog; the promise is kept when it closes. The browser keeps the focus inside and takes it back. */
export function dialog(title, body, {wide = false} = {}) {
  const close = iconButton('close', 'Close', () => box.close());
  const heading = make('h2', {text: title, id: 'dialog-title'});
  const box = make('dialog', {class: wide ? 'wide-dialog' : '', 'aria-labelledby': 'dialog-title'},
                   make('div', {class: 'dialog-head'}, heading, close), body);
  box.addEventListener('click', (event) => {
    if (event.target === box) box.close();
  });
  document.body.append(box);
  box.showModal();
  const closed = new Promise((done) => box.addEventListener('close', () => {
    box.remove();
    done();
  }));
  return {box, closed};
}
