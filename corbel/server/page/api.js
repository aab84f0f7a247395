// What the page asks of its server. Addresses are relative, so the page also works behind a proxy's prefix.

const KEY = 'corbel.key';

/** An answer that is none: what the server said, or that it said nothing. */
export class ApiError extends Error {
  constructor(message, {status = 0, param = null, requestId = null} = {}) {
    super(message);
    this.status = status;  // 0: no answer
    this.param = param;    // the field that was refused
    this.requestId = requestId;
  }
}

// For this tab alone, and gone with it.
export const getKey = () => sessionStorage.getItem(KEY) ?? '';
export const setKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

async function ask(method, path, body, signal) {
  const headers = {};
  if (getKey()) headers.authorization = `Bearer ${getKey()}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      method, headers, signal, cache: 'no-store', credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body)});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server does not answer. Is it still running?');
  }
  if (!response.ok) throw await readError(response);
  return response;
}

async function readError(response) {
  const fields = {status: response.status, requestId: response.headers.get('x-request-id')};
  let message = `The server answered ${response.status}.`;
  try {
    const said = (await response.json()).error;
    if (said?.message) message = said.message;
    fields.param = said?.param ?? null;
  } catch { /* an answer of something in between */ }
  return new ApiError(message, fields);
}

export async function getJson(path, signal) {
  return (await ask('GET', path, undefined, signal)).json();
}

export async function postJson(path, body, signal) {
  return (await ask('POST', path, body, signal)).json();
}

/** "ok", "loading", "draining"; null when nobody answers. Needs no key. */
export async function health() {
  try {
    const response = await fetch(new URL('health', document.baseURI), {cache: 'no-store'});
    return (await response.json()).status;
  } catch {
    return null;
  }
}

/** The objects of an event stream, one after the other. Throws when the stream ends without its [DONE]. */
export async function* streamJson(path, body, signal) {
  const response = await ask('POST', path, body, signal);
  const requestId = response.headers.get('x-request-id');
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError('The connection broke before the answer was complete.', {requestId});
    }
    if (piece.done) throw new ApiError('The answer ended before it was complete.', {requestId});
    text += piece.value;
    const lines = text.split('\n');
    text = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;  // comments keep the connection open
      const data = line.slice(5).trim();
      if (data === '[DONE]') return;
      const event = JSON.parse(data);
      if (event.error) throw new ApiError(event.error.message, {status: 200, param: event.error.param, requestId});
      yield event;
    }
  }
}
