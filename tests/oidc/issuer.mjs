// An OIDC issuer on loopback (oidc-provider), whose keys, faults and tokens tests order by POST /control.
import http from 'node:http';
import https from 'node:https';
import { readFileSync } from 'node:fs';
import * as jose from 'jose';
import { Provider } from 'oidc-provider';

const { ACCOUNTS = '{}', CERTIFICATE, KEY, LIFE = '3600', PORT = '0' } = process.env;
const accounts = JSON.parse(ACCOUNTS); // groups by login
const held = {}; // private keys by kid, published or not
let serve, mode = 'ok';
let asked = 0;

async function makeKey(kid, alg = 'RS256') {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  held[kid] = { ...(await jose.exportJWK(privateKey)), kid, alg, use: 'sig' };
}

function publish(kids) {
  const provider = new Provider(issuer, {
    jwks: { keys: kids.map((kid) => held[kid]) },
    cookies: { keys: ['for tests'] },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false,
    clientBasedCORS: () => true,
    rotateRefreshToken: true,
    ttl: { IdToken: Number(LIFE), AccessToken: Number(LIFE), RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 3600 },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'PS256'] },
    clients: [{
      client_id: 'openmcp', application_type: 'native', token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/', 'http://127.0.0.1/callback', 'http://127.0.0.1/graphql'],
    }],
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: id, email: `${id}@example.org`, email_verified: true, groups: accounts[id] ?? [] }),
    }),
  });
  serve = provider.callback();
}

async function sign({ kid, header = {}, claims = {}, secret }) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: issuer, aud: 'openmcp', sub: 'ann', iat: now, exp: now + 3600, ...claims };
  const head = { alg: held[kid]?.alg, kid, typ: 'JWT', ...header };
  if (head.alg === 'none') return `${new jose.UnsecuredJWT(payload).encode().split('.').slice(0, 2).join('.')}.`;
  if (secret !== undefined) return new jose.SignJWT(payload).setProtectedHeader(head).sign(new TextEncoder().encode(secret));
  return new jose.SignJWT(payload).setProtectedHeader(head)
    .sign(await jose.importJWK(held[kid], held[kid].alg), { crit: { 'x-mine': true } });
}

async function control(request, response) {
  let body = '';
  for await (const piece of request) body += piece;
  const order = JSON.parse(body);
  let said = {};
  for (const [kid, alg] of Object.entries(order.make ?? {})) await makeKey(kid, alg);
  if (order.publish) publish(order.publish);
  if (order.mode) mode = order.mode;
  if (order.sign) said = { token: await sign(order.sign) };
  if (order.pem) said = { pem: await jose.exportSPKI(await jose.importJWK(publicOf(held[order.pem]), 'RS256')) };
  response.end(JSON.stringify({ asked, ...said }));
}

const publicOf = ({ kty, n, e, kid, alg }) => ({ kty, n, e, kid, alg });

function misbehave(request, response) {
  switch (mode) {
    case 'down': return request.socket.destroy();
    case 'hang': return undefined;
    case 'garbage': return response.end('<html>it works</html>');
    case 'list': return response.end('[]');
    case 'error': return response.writeHead(500).end('{}');
    case 'elsewhere': return response.writeHead(302, { location: `${issuer}/elsewhere` }).end();
    case 'other': return response.end(JSON.stringify({ issuer: 'https://other.example.org', jwks_uri: `${issuer}/jwks` }));
    case 'clear': return response.end(JSON.stringify({ issuer, jwks_uri: 'http://issuer.example.org/jwks' }));
    case 'file': return response.end(JSON.stringify({ issuer, jwks_uri: 'file:///etc/passwd' }));
    case 'huge': {
      const more = () => { while (response.write('{"a":1,'.repeat(10_000))); };
      response.on('drain', more).on('close', () => response.off('drain', more));
      return more();
    }
    default: return serve(request, response);
  }
}

const handle = (request, response) => {
  if (request.url === '/control') return control(request, response);
  asked += request.url.includes('jwks');
  return misbehave(request, response);
};
const server = CERTIFICATE
  ? https.createServer({ cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }, handle)
  : http.createServer(handle);
await new Promise((listening) => server.listen(Number(PORT), '127.0.0.1', listening));
const issuer = `${CERTIFICATE ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
await makeKey('first');
publish(['first']);
console.log(JSON.stringify({ issuer }));
