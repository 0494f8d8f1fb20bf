// What the explorer opens with: one question that needs every cluster and the metric store.
export const OPENING_QUERY = `# Every running pod of every cluster: where it runs, what it uses now, and its last hour.
# Press the triangle (or Ctrl-Enter). Tick "5 s" beside it to see the numbers move.
query Fleet($first: Int = 20) {
  pods(filter: { phases: [RUNNING] }, first: $first) {
    totalCount
    clusters { name state message ageSeconds }
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
    pageInfo { hasNextPage endCursor }
  }
}
`;
export const OPENING_VARIABLES = '';
