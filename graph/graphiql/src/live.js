// Subscriptions over server-sent events, as GraphiQL takes them: observables of what is to be shown.
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
  const asked = named ?? operations[0];
  const name = named || operations.length === 1 ? asked.name?.value : undefined;
  const request = { query, variables, operationName: operations.length ? name : operationName };
  return { live: asked?.operation === 'subscription', request };
}

// Streams by the tab that began them: they go on while another tab is looked at.
export class LiveTabs {
  #streams = new Map();
  #shown = { tabs: [], activeTabIndex: 0 };

  get size() {
    return this.#streams.size;
  }

  // GraphiQL says which tabs there are now; streams of those that were closed end.
  watch(shown) {
    this.#shown = shown;
    const open = new Set(shown.tabs.map(({ id }) => id));
    for (const [tab, stream] of this.#streams) if (!open.has(tab)) stream.end();
  }

  get #active() {
    return this.#shown.tabs[this.#shown.activeTabIndex]?.id;
  }

  // Whether the tab that is looked at has a stream.
  isLive() {
    return this.#streams.has(this.#active);
  }

  // What GraphiQL subscribes to: the tab's stream where it follows the same, else a new one.
  open(request, ask) {
    const tab = this.#active;
    const key = JSON.stringify(request);
    let stream = this.#streams.get(tab);
    if (stream?.key !== key) {
      stream?.end();
      stream = startStream(key, ask, () => this.#streams.get(tab) === stream && this.#streams.delete(tab));
      this.#streams.set(tab, stream);
    }
    return {
      subscribe: (observer) => {
        stream.attach(observer);
        return {
          unsubscribe: () => {
            stream.attach(null);
            // The same is called for the stop button and for a change of tabs, which is known a moment later.
            setTimeout(() => this.#active === tab && !stream.observer && stream.end());
          },
        };
      },
    };
  }

  endAll() {
    for (const stream of this.#streams.values()) stream.end();
  }
}

// `ask(signal)` fetches the stream, anew after each cut.
function startStream(key, ask, onEnd) {
  const control = new AbortController();
  const stream = {
    key,
    observer: null,
    last: undefined,
    attach(observer) {
      stream.observer = observer;
      if (observer && stream.last) observer.next(stream.last);
    },
    end() {
      control.abort();
      onEnd();
    },
  };
  const next = (result) => {
    stream.last = result;
    stream.observer?.next(result);
  };
  follow(() => ask(control.signal), control.signal, next).then(
    () => control.signal.aborted || stream.observer?.complete(),
    (problem) => control.signal.aborted || stream.observer?.error(problem),
  ).finally(onEnd);
  return stream;
}

async function follow(ask, signal, next) {
  const shown = { received: 0, newest: [] };
  for (;;) {
    const answer = await ask();
    if (!answer.headers.get('Content-Type')?.startsWith('text/event-stream')) {
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
