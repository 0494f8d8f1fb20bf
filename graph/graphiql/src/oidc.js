// Sign-in at an OpenID Connect issuer: code with PKCE, led back to this page; the server exchanges the code.
import { exchange, readClaims } from './session.js';

const KEY = 'openmcp-apiserver:signing-in'; // of this tab alone
const encoder = new TextEncoder();
const HERE = () => location.origin + location.pathname;

// What the issuer led back with, taken out of the address bar before anybody reads the link that was open.
export const ANSWER = takeAnswer();

function takeAnswer() {
  const given = Object.fromEntries(new URLSearchParams(location.search));
  if (!given.state || !(given.code || given.error)) return null;
  const begun = JSON.parse(sessionStorage.getItem(KEY));
  sessionStorage.removeItem(KEY);
  history.replaceState(null, '', location.pathname + (begun?.search ?? ''));
  return { ...given, begun };
}

// The issuers of this server; none where it can't say.
export async function loadOffers() {
  const answer = await fetch('oidc').catch(() => null);
  return answer?.ok ? (await answer.json()).issuers : [];
}

export async function goToIssuer({ issuer, clientId, scope, authorizationEndpoint }) {
  if (!crypto.subtle) throw new Error('Signing in with an issuer needs https.'); // what proves who began it
  const [state, nonce, verifier] = [random(), random(), random()];
  sessionStorage.setItem(KEY, JSON.stringify({ issuer, state, nonce, verifier, search: location.search }));
  const url = new URL(authorizationEndpoint);
  const asked = {
    response_type: 'code', client_id: clientId, redirect_uri: HERE(), scope, state, nonce,
    code_challenge: encode(await crypto.subtle.digest('SHA-256', encoder.encode(verifier))), code_challenge_method: 'S256',
    ...(scope.split(' ').includes('offline_access') && { prompt: 'consent' }),
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  location.assign(url);
}

// The session that the answer leads to.
export async function finishSignIn({ begun, state, code, iss, ...given }) {
  if (!begun || begun.state !== state) throw new Error('This is no answer to a sign-in of this tab. Sign in again.');
  const { issuer, nonce, verifier } = begun;
  if (iss && iss !== issuer) throw new Error(`This is an answer of ${iss}. Sign in again.`);
  if (!code) throw new Error(`${new URL(issuer).host} refuses the sign-in: ${given.error_description ?? given.error}`);
  const session = await exchange({ issuer, code, code_verifier: verifier, redirect_uri: HERE() });
  if (readClaims(session.token).nonce !== nonce) throw new Error('This token is of another sign-in. Sign in again.');
  return session;
}

const random = () => encode(crypto.getRandomValues(new Uint8Array(32)));
const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
