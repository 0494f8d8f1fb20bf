// A gateway over this server and a second subgraph, each on a port of its own; prints where the gateway listens.
import http from 'node:http';
import { once } from 'node:events';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { createHandler } from 'graphql-http/lib/use/http';
import { parse } from 'graphql';

const TEAMS = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])
  type Query { teams: [Team!]! }
  type Team { name: String! clusters: [Cluster!]! pods: [Pod!]! page: PageInfo! }
  type Cluster @key(fields: "name") { name: String! team: String }
  type Pod @key(fields: "id") { id: ID! team: String }
  type PageInfo @shareable {
    hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String
  }
`);
const PODS = JSON.parse(process.env.PODS);
const resolvers = {
  Query: { teams: () => [{ name: 'shop', clusters: [{ name: 'cluster1' }, { name: 'cluster2' }],
    pods: PODS.map((id) => ({ id })), page: { hasNextPage: false, hasPreviousPage: false } }] },
  Cluster: { __resolveReference: ({ name }) => ({ name }), team: ({ name }) => `owners of ${name}` },
  Pod: { __resolveReference: ({ id }) => ({ id }), team: ({ id }) => `owners of ${id}` },
};

async function listen(handler) {
  const server = http.createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

async function readSdl(url) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.TOKEN}` },
    body: JSON.stringify({ query: '{ _service { sdl } }' }),
  });
  return parse((await answer.json()).data._service.sdl);
}

const fleet = `${process.env.URL}/graphql`;
const teams = await listen(createHandler({ schema: buildSubgraphSchema({ typeDefs: TEAMS, resolvers }) }));
const { supergraphSdl, errors } = composeServices([
  { name: 'fleet', url: fleet, typeDefs: await readSdl(fleet) },
  { name: 'teams', url: teams, typeDefs: TEAMS },
]);
if (errors) throw new AggregateError(errors, errors.map((error) => error.message).join('\n'));

const sent = [];
class Passing extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    request.http.headers.set('authorization', context.authorization ?? '');
    if (this.url === fleet) sent.push(request.query);
  }
}
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const gateway = new ApolloGateway({ supergraphSdl, logger: quiet, buildService: ({ url }) => new Passing({ url }) });
const { executor } = await gateway.load();

const front = await listen(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { query, variables } = JSON.parse(Buffer.concat(chunks));
  sent.length = 0;
  const result = await executor({
    document: parse(query), request: { query, variables }, operationName: null, queryHash: query, logger: quiet,
    context: { authorization: request.headers.authorization }, cache: new Map(), metrics: {}, schema: gateway.schema,
  });
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...result, sent }));
});
console.log(JSON.stringify({ url: front }));
