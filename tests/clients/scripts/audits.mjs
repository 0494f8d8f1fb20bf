// The audits of graphql-http: how a server keeps to the GraphQL over HTTP specification.
import { auditServer } from 'graphql-http';

const results = await auditServer({
  url: `${process.env.URL}/graphql`,
  fetchFn: (url, init = {}) =>
    fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${process.env.TOKEN}` } }),
});
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
