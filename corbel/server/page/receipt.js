// What an answer came from, and whether the server makes the same bytes again.
import {postJson} from './api.js';
import {copyButton, dialog, download, icon, iconButton, make} from './dom.js';
import {codeBlock} from './markdown.js';

function rows(receipt) {
  const {run = {}, sampling = {}, limits = {}, prompt = {}, answer = {}} = receipt;
  const seed = sampling.seed !== undefined ? `, seed ${sampling.seed}` : '';
  return [
    ['model', receipt.model],
    ['model hash', run.model_hash],
    ['numerics', [run.profile, run.strategy, run.kv_cache && `cache ${run.kv_cache}`].filter(Boolean).join(', ')],
    ['sampling', sampling.temperature !== undefined ? `temperature ${sampling.temperature}${seed}` : null],
    ['limit', limits.max_tokens !== undefined ? `${limits.max_tokens} tokens` : null],
    ['prompt', prompt.ids && `${prompt.ids.length} tokens, ${prompt.hash}`],
    ['answer', answer.ids && `${answer.ids.length} tokens, ${answer.hash}`],
    ['written by', receipt.corbel && `Corbel ${receipt.corbel}`],
  ].filter(([, value]) => value);
}

export function showReceipt(receipt) {
  const table = make('dl', {class: 'facts'});
  for (const [name, value] of rows(receipt)) table.append(make('dt', {text: name}), make('dd', {text: String(value)}));
  const verdict = make('div', {class: 'verdict', role: 'status', 'aria-live': 'polite'});
  const text = JSON.stringify(receipt, null, 1);
  const replay = iconButton('replay', 'Replay', () => run(receipt, replay, verdict), 'Replay');
  replay.classList.add('primary');
  const whole = make('details', {class: 'thoughts'}, make('summary', {text: 'The whole receipt'}));
  whole.addEventListener('toggle', () => whole.childElementCount === 1 && whole.append(codeBlock(text, 'json')));
  dialog('Receipt', make('div', {},
    make('p', {class: 'faint'}, 'With the same model and settings the same bytes come again, in whatever company. ' +
      'Replay makes the answer once more on this server and compares; ', make('code', {text: 'corbel replay FILE'}), ' does it elsewhere.'),
    table, make('div', {class: 'row'}, replay,
                iconButton('save', 'Save the receipt', () => download('receipt.json', 'application/json', text + '\n'), 'Save'),
                copyButton(() => text, 'Copy the receipt')),
    verdict, whole), {wide: true});
}

async function run(receipt, button, verdict) {
  button.disabled = true;
  verdict.className = 'verdict';
  verdict.replaceChildren(make('span', {class: 'faint', text: 'making the answer again ...'}));
  try {
    const answer = await postJson('replay', {receipt});
    verdict.classList.add(answer.same ? 'good' : 'bad');
    verdict.replaceChildren(icon(answer.same ? 'check' : 'close'),
      answer.same ? `The same bytes: ${answer.tokens} tokens in ${answer.seconds.toFixed(2)} s`
                  : `Not the same: ${answer.difference}`);
  } catch (error) {
    verdict.classList.add('bad');
    verdict.replaceChildren(icon('close'), error.message);
  }
  button.disabled = false;
}
