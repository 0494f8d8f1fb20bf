// What the explorer opens with: a tab each, the first one a question that needs every cluster and the metric store.
// A test reads the queries and headers from here, and runs each on the demo.
const FLEET = `# Every running pod of every cluster: where it
# runs, what it uses now and in the last hour.
# Press the triangle; tick "5 s" to see it move.
query Fleet($first: Int = 20) {
  pods(filter: { phases: [RUNNING] }, first: $first) {
    totalCount
    items {
      cluster { name }
      namespace
      name
      status
      node { name zone }
      usage { time cpuCores memoryBytes }
      history(last: "1h", step: "10m") {
        times
        cpuCores
        peak: memoryBytes(aggregate: MAX)
      }
    }
    clusters { name state message ageSeconds }
    pageInfo { hasNextPage endCursor }
  }
}
`;

const TOP_CONSUMERS = `# The pods that are closest to their memory
# limit, fleet-wide, and the busiest node of
# each cluster: two questions to the store.
query TopConsumers {
  pods(orderBy: [{ usage: MEMORY_PERCENT, percentOf: LIMIT, direction: DESC }], first: 10) {
    totalCount
    items {
      cluster { name }
      namespace
      name
      usage { memoryBytes memoryPercent(of: LIMIT) cpuCores }
    }
  }
  nodes(orderBy: [{ usage: CPU_PERCENT, percentOf: ALLOCATABLE, direction: DESC }], first: 3) {
    items { cluster { name } name usage { cpuPercent(of: ALLOCATABLE) } }
  }
}
`;

const HISTORY = `# What each node used in the last hour, as
# columns for a chart.
query History($last: Duration = "1h") {
  nodes {
    items {
      cluster { name }
      name
      history(last: $last, step: "10m") {
        times
        cpuCores
        busiest: cpuCores(aggregate: P95)
        peak: memoryBytes(aggregate: MAX)
      }
    }
  }
}
`;

const COST_AND_EXPLAIN = `# See "extensions" below the data: what was
# estimated before any work, and what it took
# then. The headers of this tab ask for both.
query CostAndExplain {
  clusters {
    name
    health
    podCounts(by: PHASE) { key count }
    usage { time cpuCores memoryPercent(of: CAPACITY) }
  }
}
`;
const COST_AND_EXPLAIN_HEADERS = `{ "X-Explain": "true", "X-Cost": "true" }`;

const ANY_KIND = `# Any kind that a cluster serves, custom ones
# too: change kind and apiVersion.
query AnyKind($apiVersion: String! = "openmcp.k8s.io/v1alpha1", $kind: String! = "OpenMCPCluster") {
  resources(apiVersion: $apiVersion, kind: $kind, first: 10) {
    items {
      cluster { name }
      namespace
      name
      createdAt
      columns { name value }
    }
    clusters { name state message }
  }
}
`;

const LIVE = `# Moves by itself: first every running pod,
# then each that comes, goes or changes.
# Press the triangle to begin, and to end; the
# newest is on top. Other tabs do not end it.
subscription Live {
  podEvents(filter: { phases: [RUNNING] }) {
    type
    pod {
      cluster { name }
      namespace
      name
      status
      ready
      restarts
      node { name }
    }
  }
}
`;

export const OPENING_TABS = [
  { query: FLEET },
  { query: LIVE },
  { query: TOP_CONSUMERS },
  { query: HISTORY },
  { query: COST_AND_EXPLAIN, headers: COST_AND_EXPLAIN_HEADERS },
  { query: ANY_KIND },
];
