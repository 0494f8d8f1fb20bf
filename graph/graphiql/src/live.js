// Subscriptions over server-sent events, as GraphiQL takes them: an observable of what is to be shown.
import { Kind, parse } from 'graphql';

const SHOWN = 20;
const SHOW_MS = 100; // the editor takes milliseconds to show an answer, and a list begins with hundreds of events

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
  const shown = { received: 0, newest: [] };
  let timer;
  const show = () => {
    timer = undefined;
    next({ ...shown });
  };
  try {
    for await (const result of readEvents(answer.body)) {
      shown.received += 1;
      shown.newest = [result, ...shown.newest].slice(0, SHOWN);
      timer ??= setTimeout(show, SHOW_MS);
      if (result.errors?.some((one) => one.extensions?.code === 'UNAUTHENTICATED')) onRefused();
    }
  } finally {
    clearTimeout(timer);
    if (!signal.aborted) show();
  }
}

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
    }
  }
}
