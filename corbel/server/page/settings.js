// What goes with every question: system prompt, sampling, tools. A field that is empty is not sent: the model's own default holds.
import {make} from './dom.js';
import {loadSettings, saveSettings} from './store.js';

const NUMBERS = [
  {name: 'temperature', low: 0, high: 2, step: 0.1, meaning: 'Higher is more varied; 0 always takes the likeliest token.'},
  {name: 'top_p', low: 0.01, high: 1, step: 0.05, meaning: 'The fewest tokens whose probabilities add up to this.'},
  {name: 'top_k', low: -1, high: 100000, step: 1, meaning: 'So many of the likeliest tokens; 0: all.'},
  {name: 'min_p', low: 0, high: 1, step: 0.01, meaning: 'Tokens at least this fraction as likely as the likeliest.'},
  {name: 'max_tokens', low: 1, high: 16777216, step: 64, meaning: 'Most tokens of an answer.'},
  {name: 'seed', low: 0, high: Number.MAX_SAFE_INTEGER, step: 1, meaning: 'The same seed draws the same tokens.'},
  {name: 'repetition_penalty', low: 0.01, high: 100, step: 0.05, meaning: 'Above 1: tokens that were there become less likely.', more: true},
  {name: 'presence_penalty', low: -2, high: 2, step: 0.1, meaning: 'Taken from tokens that the answer has.', more: true},
  {name: 'frequency_penalty', low: -2, high: 2, step: 0.1, meaning: 'The same, for each time.', more: true},
];
const JSON_FIELDS = {
  tools: {meaning: 'Functions that the model may call, as a JSON list.', example: '[{"type": "function", "function": {"name": ...}}]'},
  response_format: {meaning: 'What an answer must look like.', example: '{"type": "json_schema", "json_schema": {...}}'},
  chat_template_kwargs: {meaning: 'Variables of the chat template.', example: '{"enable_thinking": false}'},
};

/** A setting that could not be read, with its field. */
export class SettingError extends Error {}

export class Settings {
  constructor(element) {
    this.values = loadSettings();
    this.receipts = true;
    this.fields = {};
    this.element = element;
    this.build();
  }

  build() {
    const system = this.text('system', 'System prompt', {rows: 4, placeholder: 'none'});
    const numbers = make('div', {class: 'numbers'}, ...NUMBERS.filter((one) => !one.more).map((one) => this.number(one)));
    const more = make('details', {class: 'more'}, make('summary', {text: 'More'}),
      make('div', {class: 'numbers'}, ...NUMBERS.filter((one) => one.more).map((one) => this.number(one))),
      this.text('stop', 'stop', {rows: 2, placeholder: 'one a line', meaning: 'Texts that end an answer.'}),
      ...Object.entries(JSON_FIELDS).map(([name, {meaning, example}]) => this.text(name, name, {rows: 3, placeholder: example, meaning, code: true})));
    more.open = ['stop', ...Object.keys(JSON_FIELDS)].some((name) => this.values[name]);
    const reset = make('button', {class: 'quiet', type: 'button', text: 'Back to the model\'s defaults', onclick: () => this.reset()});
    this.element.replaceChildren(system, numbers, more, reset);
  }

  label(name, text, meaning, field) {
    const problem = make('span', {class: 'field-problem', id: `problem-${name}`, role: 'alert'});
    field.id = `set-${name}`;
    field.setAttribute('aria-describedby', problem.id);
    this.fields[name] = {field, problem};
    field.addEventListener('input', () => this.changed(name));
    return make('div', {class: 'field'}, make('label', {for: field.id, text, title: meaning}), field, problem);
  }

  text(name, label, {rows, placeholder, meaning, code}) {
    const area = make('textarea', {rows, placeholder, class: code ? 'mono' : '', spellcheck: code ? 'false' : 'true'});
    area.value = this.values[name] ?? '';
    return this.label(name, label, meaning, area);
  }

  number({name, low, high, step, meaning}) {
    const input = make('input', {type: 'number', min: low, max: high, step: 'any', placeholder: 'model\'s', inputmode: 'decimal'});
    // The arrows go by a step that suits the field; any value may be typed.
    input.addEventListener('keydown', (event) => {
      const sign = {ArrowUp: 1, ArrowDown: -1}[event.key];
      if (!sign) return;
      event.preventDefault();
      const from = input.value === '' ? 0 : Number(input.value);
      input.value = String(+Math.min(high, Math.max(low, from + sign * step)).toFixed(4));
      this.changed(name);
    });
    input.value = this.values[name] ?? '';
    return this.label(name, name, meaning, input);
  }

  changed(name) {
    const {field, problem} = this.fields[name];
    this.values[name] = field.value;
    if (field.value === '') delete this.values[name];
    const error = this.check(name);
    problem.textContent = error ?? '';
    field.setAttribute('aria-invalid', error ? 'true' : 'false');
    saveSettings(this.values);
  }

  /** What is wrong with a field, or null. */
  check(name) {
    const {field} = this.fields[name];
    const range = NUMBERS.find((one) => one.name === name);
    if (range && field.validity?.badInput) return 'expected a number';
    const value = this.values[name];
    if (value === undefined) return null;
    if (range && !(Number(value) >= range.low && Number(value) <= range.high)) return `expected ${range.low} to ${range.high}`;
    if (name in JSON_FIELDS) {
      try {
        JSON.parse(value);
      } catch (error) {
        return error.message;
      }
    }
    return null;
  }

  /** The model's own values, shown where nothing is set. */
  showDefaults(defaults) {
    for (const {name} of NUMBERS) {
      const value = defaults?.[name];
      const words = {seed: 'drawn', max_tokens: 'room left'}[name] ?? 'model\'s';
      this.fields[name].field.placeholder = value === undefined ? words : String(+value.toFixed(4));
    }
    this.defaults = defaults;
  }

  reset() {
    this.values = {};
    saveSettings(this.values);
    this.build();
    this.showDefaults(this.defaults);
  }

  /** The body of a question. Throws where a setting is none. */
  request(model, messages) {
    const body = {messages, stream: true, stream_options: {include_usage: true}};
    if (model) body.model = model;
    if (this.receipts) body.return_receipt = true;
    for (const name of Object.keys(this.fields)) {
      const error = this.check(name);
      if (error) {
        this.point(name);
        throw new SettingError(`"${name}" in the settings: ${error}`);
      }
      const value = this.values[name];
      if (value === undefined || name === 'system') continue;
      if (name in JSON_FIELDS) body[name] = JSON.parse(value);
      else if (name === 'stop') body.stop = value.split('\n').filter((line) => line);
      else body[name] = Number(value);
    }
    return body;
  }

  /** Shows the field that a refusal names: "temperature", "tools[0].function". */
  point(path) {
    const name = path.split(/[.[]/)[0];
    const known = this.fields[name];
    if (!known) return;
    known.field.setAttribute('aria-invalid', 'true');
    known.field.closest('details')?.setAttribute('open', '');
  }
}
