// urql: a normalised cache, Relay's pages, automatic persisted queries by GET.
import { Client, fetchExchange, gql } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { persistedExchange } from '@urql/exchange-persisted';

const sent = [];
const counted = async (url, init) => {
  const answer = await fetch(url, init);
  sent.push({ method: init.method, text: new URL(url).searchParams.has('query'), status: answer.status });
  return answer;
};
const client = new Client({
  url: `${process.env.URL}/graphql`,
  fetch: counted,
  fetchOptions: { headers: { authorization: `Bearer ${process.env.TOKEN}` } },
  exchanges: [
    cacheExchange({
      keys: { Cluster: (cluster) => cluster.name },
      resolvers: { Query: { pods: relayPagination() } },
    }),
    persistedExchange({ preferGetForPersistedQueries: true }),
    fetchExchange,
  ],
});
const PODS = gql`
  query Pods($after: String) {
    pods(filter: { clusters: ["cluster1"] }, orderBy: [{ field: NAME }], first: 5, after: $after) {
      edges { cursor node { id name cluster { name } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`;
const ask = async (query, variables) => {
  const { data, error } = await client.query(query, variables).toPromise();
  if (error) throw error;
  return data;
};
const first = (await ask(PODS, {})).pods;
const both = (await ask(PODS, { after: first.pageInfo.endCursor })).pods;
const requests = sent.length;
const fromCache = await ask(gql`{ cluster(name: "cluster1") { name } }`, {});
const failed = await client.query(gql`{ cluster(name: "nowhere") { name } }`, {}).toPromise();
console.log(JSON.stringify({
  firstPage: first.edges.length,
  names: both.edges.map((edge) => edge.node.name),
  sent: sent.slice(0, requests),
  cluster: fromCache.cluster.name,
  code: failed.error?.graphQLErrors[0]?.extensions.code ?? String(failed.error),
}));
