// What is known of the chosen model.
import {getJson} from './api.js';
import {copyButton, make} from './dom.js';
import {bytesText} from './live.js';

const whole = new Intl.NumberFormat('en');

function count(number) {
  if (number >= 1e9) return `${(number / 1e9).toFixed(2)} billion`;
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} million`;
  return whole.format(number);
}

function callsText(names) {
  if (names[0] === 'generic') return 'the template says nothing of them; every common format is understood';
  return names.length ? names.join(', ') : 'not written by this model';
}

function rows(model) {
  const card = model.card;
  return [
    ['Name', model.id],
    ['Architecture', `${card.architecture}, family ${card.family}`],
    ['Parameters', `${count(card.parameters)} in ${card.layers} layers, hidden ${whole.format(card.hidden)}`],
    ['Weights', `${card.formats.join(', ')}; ${bytesText(card.weight_bytes)} (${card.package})`],
    ['Context', `${whole.format(card.context_tokens)} tokens here` +
      (card.trained_context_tokens > card.context_tokens ? `, the model was made for ${whole.format(card.trained_context_tokens)}` : '')],
    ['Vocabulary', `${whole.format(card.vocab)} tokens`],
    ['Numerics', `${card.profile}, ${card.strategy}, cache ${card.kv_cache}`],
    ['Chat template', card.has_template ? 'the model\'s own' : 'none: messages are joined plainly'],
    ['Tool calls', callsText(card.tool_calls)],
    ['Reasoning', card.reasoning.length ? card.reasoning.map(([open, close]) => `${open} ... ${close}`).join(', ') : 'none marked'],
  ];
}

export class ModelCard {
  constructor(element, server) {
    Object.assign(this, {element, server});
    server.addEventListener('model', () => this.show());
    server.addEventListener('state', () => this.show());
  }

  async show() {
    if (this.element.hidden) return;
    try {
      const status = await getJson('v1/status');
      const model = status.models.find((one) => one.id === this.server.model) ?? status.models[0];
      if (!model) return this.say('No model yet.');
      if (!model.card) return this.say(`${model.id} is loaded when it is first asked for.`);
      this.element.replaceChildren(
        make('dl', {class: 'facts card'}, ...rows(model).flatMap(([name, value]) => [make('dt', {text: name}), make('dd', {text: value})])),
        this.usage(model));
    } catch (error) {
      this.say(error.message);
    }
  }

  say(text) {
    this.element.replaceChildren(make('p', {class: 'faint', text}));
  }

  /** How a program asks this model. */
  usage(model) {
    const address = new URL('v1/chat/completions', document.baseURI).href;
    const text = `curl ${address} \\\n  -H 'content-type: application/json' \\\n` +
      `  -d '${JSON.stringify({model: model.id, messages: [{role: 'user', content: 'What is a KV cache?'}]})}'`;
    return make('div', {class: 'code'}, make('div', {class: 'code-head'}, make('span', {text: 'from a program'}), copyButton(() => text, 'Copy the command')),
                make('pre', {tabindex: '0'}, make('code', {text})));
  }
}
