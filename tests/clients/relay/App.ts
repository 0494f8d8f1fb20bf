import { graphql } from 'react-relay';

export const list = graphql`
  fragment App_pods on Query
  @argumentDefinitions(first: { type: "Int", defaultValue: 5 }, after: { type: "String" })
  @refetchable(queryName: "AppPageQuery") {
    pods(first: $first, after: $after, filter: { clusters: ["cluster1"] }) @connection(key: "App_pods") {
      edges { node { ...App_pod @alias(as: "pod") } }
      totalCount
    }
  }
`;

export const pod = graphql`
  fragment App_pod on Pod {
    name
    status
    node { name zone }
    usage { cpuCores memoryBytes }
  }
`;

export const page = graphql`
  query AppQuery {
    ...App_pods
    viewer { name }
  }
`;

export const one = graphql`
  query AppOneQuery($id: ID!) {
    object(id: $id) { id ... on Pod { ...App_pod @alias(as: "pod") } }
  }
`;
