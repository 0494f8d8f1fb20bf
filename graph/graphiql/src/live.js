// Subscriptions over server-sent events, as GraphiQL takes them: an observable of what is to be shown.
import { Kind, parse } from 'graphql';

const SHOWN = 20;
const SHOW_MS = 100; // the editor takes milliseconds to show an answer, and a list begins with hundreds of events
const AGAIN_MS = 1000;

// What the editor says of the operation is late by a moment after a change of tabs: the text itself is right.
export function readRequest({ query, variables, operationName }) {
  let operations = [];
  try {
    operations = parse(query).definitions.filter((part) => part.kind === Kind.OPERATION_DEFINITION);
  } catch {
    // the server says better what is wrong with the text
  }
  const named = operations.find((part) => part.name?.value === operationName);
  const live = (named ?? operations[0])?.operation === 'subscription';
  return { live, request: { query, variables, operationName: operations.length && !named ? undefined : operationName } };
}

// onRefused is called when the token does not count, or not any more.
export function openLive(request, headers, onRefused) {
  return {
    subscribe({ next, error, complete }) {
      const control = new AbortController();
      follow(request, headers, control.signal, next, onRefused).then(
        () => control.signal.aborted || complete(),
        (problem) => control.signal.aborted || error(problem),
      );
      return { unsubscribe: () => control.abort() };
    },
  };
}

async function follow(request, headers, signal, next, onRefused) {
  const shown = { received: 0, newest: [] };
  for (;;) {
    const answer = await fetch('graphql', {
      method: 'POST',
      headers: { ...headers, Accept: 'text/event-stream' },
      body: JSON.stringify(request),
      signal,
    });
    if (!answer.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      if (answer.status === 401) onRefused();
      next(await answer.json());
      return;
    }
    if (await showEvents(answer.body, shown, signal, next)) return;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    if (signal.aborted) return;
  }
}

// Whether the operation completed: a stream that ends otherwise was cut off, and is asked for again.
async function showEvents(body, shown, signal, next) {
  let timer;
  const show = () => {
    timer = undefined;
    next({ ...shown });
  };
  try {
    for await (const result of readEvents(body)) {
      if (result === null) return true;
      shown.received += 1;
      shown.newest = [result, ...shown.newest].slice(0, SHOWN);
      timer ??= setTimeout(show, SHOW_MS);
    }
    return false;
  } finally {
    clearTimeout(timer);
    if (!signal.aborted) show();
  }
}

// The results, and null for `complete`.
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const data = /^event: next\ndata: (.*)$/.exec(event)?.[1];
      if (data) yield JSON.parse(data);
      else if (event.startsWith('event: complete')) yield null;
    }
  }
}
