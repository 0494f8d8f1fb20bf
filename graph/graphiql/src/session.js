// One sign-in a browser: the token is kept for all tabs, and renewed at half its life while a page is used.
const KEY = 'openmcp-apiserver:session';
const JSON_BODY = { 'Content-Type': 'application/json' };

export function readSession() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function writeSession(session) {
  if (session) localStorage.setItem(KEY, JSON.stringify(session));
  else localStorage.removeItem(KEY);
}

// Calls back when another tab signs in, renews or signs out.
export function watchSession(onChange) {
  const tell = ({ key }) => key === KEY && onChange(readSession());
  addEventListener('storage', tell);
  return () => removeEventListener('storage', tell);
}

export async function signIn(username, password) {
  const answer = await askToken(JSON_BODY, JSON.stringify({ username, password }));
  if (answer.status === 401) throw new Error('The user name or the password is wrong.');
  if (!answer.ok) throw new Error(`Signing in failed: the server answered ${answer.status}.`);
  return { user: username, token: (await answer.json()).token };
}

// The newest token; a new one is asked for in the second half of its life.
export async function freshToken() {
  const session = readSession();
  if (session && isOld(session.token)) await (navigator.locks ? navigator.locks.request(KEY, renew) : renew());
  return readSession()?.token;
}

// In one tab for all: an issuer's refresh token is often good for one use.
async function renew() {
  const kept = readSession();
  if (!kept || !isOld(kept.token)) return;
  const renewed = await (kept.issuer ? renewAtIssuer(kept) : renewHere(kept)).catch(() => null);
  if (renewed && readSession()?.token === kept.token) writeSession({ ...kept, ...renewed });
}

async function renewHere({ token }) {
  const answer = await askToken({ Authorization: `Bearer ${token}` });
  return answer.ok && { token: (await answer.json()).token };
}

const renewAtIssuer = async ({ issuer, refreshToken }) => refreshToken && exchange({ issuer, refresh_token: refreshToken });

// A code or a refresh token for a session of a user who signs in at an issuer.
export async function exchange(given) {
  const answer = await fetch('oidc', { method: 'POST', headers: JSON_BODY, body: JSON.stringify(given) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(`Signing in failed: ${said.error ?? said.message ?? `the server answered ${answer.status}`}`);
  return { issuer: given.issuer, ...said };
}

export function readClaims(token) {
  return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
}

const askToken = (headers, body) => fetch('token', { method: 'POST', headers, body });

function isOld(token) {
  try {
    const { iat, exp } = readClaims(token);
    return Date.now() / 1000 > (iat + exp) / 2;
  } catch {
    return false;
  }
}
