// graphql-ws: a query and a subscription over one WebSocket, and a token that does not count.
import { createClient } from 'graphql-ws';

const open = (token) =>
  createClient({
    url: `${process.env.URL.replace('http', 'ws')}/graphql`,
    connectionParams: { Authorization: `Bearer ${token}` },
    retryAttempts: 0,
  });
const IDS = '{ pods(filter: { clusters: ["cluster1"] }, first: 1000) { items { id } } }';
const EVENTS = 'subscription { podEvents(filter: { clusters: ["cluster1"] }) { type pod { id name } } }';

const client = open(process.env.TOKEN);
const ask = async (query) => (await client.iterate({ query }).next()).value.data;
const viewer = (await ask('{ viewer { name } }')).viewer.name;
const kept = new Set();
const types = new Set();
for await (const { data } of client.iterate({ query: EVENTS })) {
  const { type, pod } = data.podEvents;
  types.add(type);
  if (type === 'DELETED') kept.delete(pod.id);
  else kept.add(pod.id);
  const { items } = (await ask(IDS)).pods; // pods come and go: sooner or later both say the same
  if (items.length === kept.size && items.every(({ id }) => kept.has(id))) break;
}
await client.dispose();

const nobody = open('none');
const refused = await nobody.iterate({ query: '{ viewer { name } }' }).next().then(() => null, (error) => error);
console.log(JSON.stringify({ viewer, pods: kept.size, types: [...types], refused: { code: refused?.code, reason: refused?.reason } }));
