// A token that ends while a subscription is open: each package comes back with what `credential` gives then.
import { createClient as createEvents } from 'graphql-sse';
import { createClient as createSocket } from 'graphql-ws';

const EVENTS = 'subscription { clusterEvents { type cluster { name } } }';
const url = `${process.env.URL}/graphql`;
const asked = [];
const credential = () => {
  asked.push(asked.length ? 'new' : 'ending');
  return `Bearer ${asked.length === 1 ? process.env.ENDING_TOKEN : process.env.TOKEN}`;
};
const closes = [];
const retryWait = () => Promise.resolve();
const client =
  process.env.TRANSPORT === 'ws'
    ? createSocket({
        url: url.replace('http', 'ws'),
        connectionParams: () => ({ Authorization: credential() }),
        retryWait,
        on: { closed: ({ code, reason }) => closes.push({ code, reason }) },
      })
    : createEvents({ url, headers: () => ({ authorization: credential() }), retry: retryWait });

const told = [];
const errors = [];
for await (const result of client.iterate({ query: EVENTS })) {
  errors.push(...(result.errors ?? []));
  told[asked.length - 1] ??= [];
  const { type, cluster } = result.data.clusterEvents;
  if (type === 'ADDED') told[asked.length - 1].push(cluster.name);
  if (asked.length > 1 && told[1].length === told[0].length) break;
}
console.log(JSON.stringify({ asked, told, errors, first: closes[0] ?? null }));
await client.dispose();
