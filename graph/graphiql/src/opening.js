// What the explorer opens with: one question that needs every cluster and the metric store.
export const OPENING_QUERY = `# Every running pod of every cluster: where it runs,
# what it uses now, and what it used in the last hour.
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
export const OPENING_VARIABLES = '';
