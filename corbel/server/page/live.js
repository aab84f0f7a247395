// What the server is doing now, asked for every second while somebody looks: rates are differences between two answers.
import {ApiError, getJson} from './api.js';
import {make, svg} from './dom.js';

const EVERY = 1000;  // ms
const POINTS = 120;
const WIDTH = 280;
const HEIGHT = 72;

const whole = new Intl.NumberFormat('en');
const percent = (part, all) => (all > 0 ? `${(100 * part / all).toFixed(part > 0 && part < all / 100 ? 1 : 0)}%` : '0%');

export function bytesText(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (bytes >= 999.5 && unit + 1 < units.length) {
    bytes /= 1000;
    ++unit;
  }
  return `${unit === 0 || bytes >= 99.95 ? bytes.toFixed(0) : bytes.toFixed(bytes >= 9.995 ? 1 : 2)} ${units[unit]}`;
}

/** Values over time as a line above a filled area, scaled to the highest. */
class Picture {
  constructor(label) {
    this.values = [];
    this.area = svg('path', {class: 'area'});
    this.line = svg('path', {class: 'line'});
    this.top = make('span', {class: 'faint'});
    this.now = make('strong', {text: '0'});
    const drawing = svg('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${label}, the last two minutes`},
                        this.area, this.line);
    this.element = make('figure', {class: 'picture'}, make('figcaption', {}, make('span', {text: label}), this.now), drawing,
                        make('div', {class: 'axis'}, make('span', {class: 'faint', text: '2 min ago'}), this.top, make('span', {class: 'faint', text: 'now'})));
  }

  add(value, text) {
    this.values.push(value);
    if (this.values.length > POINTS) this.values.shift();
    this.now.textContent = text;
    const most = Math.max(...this.values, 1);
    const top = Math.max(...this.values);
    this.top.textContent = top > 0 ? `top ${top < 10 ? +top.toFixed(1) : top.toFixed(0)}` : '';
    const first = POINTS - this.values.length;
    const points = this.values.map((one, i) =>
      `${((first + i) * WIDTH / (POINTS - 1)).toFixed(1)},${(HEIGHT - 2 - one / most * (HEIGHT - 6)).toFixed(1)}`);
    this.line.setAttribute('d', `M${points.join('L')}`);
    this.area.setAttribute('d', `M${points[0].split(',')[0]},${HEIGHT}L${points.join('L')}L${WIDTH},${HEIGHT}Z`);
  }
}

/** A share of something, as a bar with words. */
class Bar {
  constructor(label) {
    this.fill = make('div', {class: 'fill'});
    this.second = make('div', {class: 'fill second'});
    this.text = make('span', {class: 'bar-text'});
    this.element = make('div', {class: 'bar'}, make('div', {class: 'bar-head'}, make('span', {text: label}), this.text),
                        make('div', {class: 'rail', 'aria-hidden': 'true'}, this.fill, this.second));
  }

  /** `second`: a part after the first, shown paler. */
  show(part, all, text, second = 0) {
    const share = (value) => `${all > 0 ? Math.min(100, 100 * value / all) : 0}%`;
    this.fill.style.setProperty('width', share(part));
    this.second.style.setProperty('width', share(second));
    this.text.textContent = text;
  }
}

export class LivePanel {
  constructor(element, server) {
    Object.assign(this, {element, server});
    this.last = null;
    this.rate = new Picture('Tokens per second');
    this.batch = new Picture('Running');
    this.pages = new Bar('KV cache pages');
    this.prefix = new Bar('Prefix hits');
    this.memory = new Bar('Memory');
    this.facts = make('dl', {class: 'facts'});
    this.problem = make('p', {class: 'notice', hidden: true});
    element.append(this.problem, this.rate.element, this.batch.element, this.pages.element, this.prefix.element, this.memory.element, this.facts);
    document.addEventListener('visibilitychange', () => this.poll());
    server.addEventListener('model', () => (this.last = null));
    server.addEventListener('state', () => this.poll());
  }

  setVisible(visible) {
    this.visible = visible;
    this.poll();
  }

  async poll() {
    clearTimeout(this.timer);
    if (!this.visible || document.hidden || this.asking) return;
    this.asking = true;
    try {
      this.show(await getJson('v1/status'));
      this.problem.hidden = true;
    } catch (error) {
      this.problem.textContent = error instanceof ApiError ? error.message : String(error);
      this.problem.hidden = false;
      this.last = null;
    }
    this.asking = false;
    this.timer = setTimeout(() => this.poll(), EVERY);
  }

  show(status) {
    const time = performance.now();
    const model = status.models.find((one) => one.id === this.server.model) ?? status.models.find((one) => one.engine);
    const engine = model?.engine;
    if (!engine) return;
    if (this.last?.id === model.id) {
      const seconds = (time - this.last.time) / 1000;
      const rate = Math.max(0, engine.generated_tokens - this.last.generated_tokens) / seconds;
      this.rate.add(rate, rate === 0 ? '0' : rate.toFixed(rate < 10 ? 1 : 0));
    }
    this.last = {id: model.id, time, generated_tokens: engine.generated_tokens};
    this.batch.add(engine.running, `${engine.running} of ${engine.most_running}, ${engine.waiting} waiting`);
    const used = engine.pages - engine.free_pages;
    const kept = Math.min(engine.prefix_pages, used);
    this.pages.show(used - kept, engine.pages, `${whole.format(used - kept)} used, ${whole.format(kept)} kept of ${whole.format(engine.pages)}`, kept);
    this.prefix.show(engine.prefix_hit_tokens, engine.prefix_asked_tokens,
                     `${percent(engine.prefix_hit_tokens, engine.prefix_asked_tokens)} of ${whole.format(engine.prefix_asked_tokens)} tokens`);
    const {resident_bytes: resident, limit_bytes: limit} = status.memory;
    this.memory.show(resident, limit, `${bytesText(resident)} of ${bytesText(limit)}`);
    this.showFacts(status, engine);
  }

  showFacts(status, engine) {
    const facts = [
      ['answered tokens', whole.format(engine.generated_tokens)],
      ['steps', `${whole.format(engine.steps)}, ${engine.steps ? (engine.rows / engine.steps).toFixed(1) : '0'} rows each`],
      ['guessed tokens', engine.drafted_tokens ? `${whole.format(engine.drafted_tokens)}, ${percent(engine.accepted_tokens, engine.drafted_tokens)} right` : '0'],
      ['preempted', whole.format(engine.preemptions)],
      ['running since', new Date(Date.now() - status.uptime_seconds * 1000).toLocaleString([], {dateStyle: 'medium', timeStyle: 'short'})],
    ];
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [make('dt', {text: name}), make('dd', {text: value})]));
  }
}
