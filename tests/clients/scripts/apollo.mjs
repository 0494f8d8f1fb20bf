// Apollo Client: a normalised cache, Relay's pages, an error's code.
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';

const cache = new InMemoryCache({
  possibleTypes: { Object: ['Pod', 'Node', 'Resource'] },
  typePolicies: {
    Cluster: { keyFields: ['name'] },
    Query: { fields: { pods: relayStylePagination(['filter', 'orderBy']) } },
  },
});
const client = new ApolloClient({
  cache,
  link: new HttpLink({ uri: `${process.env.URL}/graphql`, headers: { authorization: `Bearer ${process.env.TOKEN}` } }),
});

const PODS = gql`
  query Pods($after: String) {
    pods(filter: { clusters: ["cluster1"] }, orderBy: [{ field: NAME }], first: 5, after: $after) {
      edges { node { id name cluster { name health } } }
      pageInfo { hasNextPage endCursor }
      totalCount
    }
  }
`;
const first = (await client.query({ query: PODS })).data.pods;
const watched = client.watchQuery({ query: PODS });
const subscription = watched.subscribe(() => {});
await watched.fetchMore({ variables: { after: first.pageInfo.endCursor } });
const both = client.readQuery({ query: PODS }).pods;

const pod = both.edges[7].node;
const alone = await client.query({
  query: gql`query One($id: ID!) { object(id: $id) { id ... on Pod { name status } } }`,
  variables: { id: pod.id },
});
const kept = cache.extract();
const failed = await client
  .query({ query: gql`{ cluster(name: "nowhere") { name } }` })
  .then(() => null, (error) => error);
subscription.unsubscribe();

console.log(JSON.stringify({
  names: both.edges.map((edge) => edge.node.name),
  firstPage: first.edges.length,
  totalCount: both.totalCount,
  alone: alone.data.object,
  sameObject: kept[`Pod:${pod.id}`].status === alone.data.object.status,
  clusters: Object.keys(kept).filter((key) => key.startsWith('Cluster:')),
  code: CombinedGraphQLErrors.is(failed) ? failed.errors[0].extensions.code : String(failed),
}));
client.stop();
