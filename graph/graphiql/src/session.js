// One sign-in a browser: the token is kept for all tabs, and renewed at half its life while a page is used.
const KEY = 'openmcp-apiserver:session';

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
  const answer = await askToken({ 'Content-Type': 'application/json' }, JSON.stringify({ username, password }));
  if (answer.status === 401) throw new Error('The user name or the password is wrong.');
  if (!answer.ok) throw new Error(`Signing in failed: the server answered ${answer.status}.`);
  return { user: username, token: (await answer.json()).token };
}

// The newest token; a new one is asked for in the second half of its life.
export async function freshToken() {
  const session = readSession();
  if (session && isOld(session.token)) {
    const answer = await askToken({ Authorization: `Bearer ${session.token}` }).catch(() => null);
    if (answer?.ok && readSession()?.token === session.token) {
      writeSession({ ...session, token: (await answer.json()).token });
    }
  }
  return readSession()?.token;
}

const askToken = (headers, body) => fetch('token', { method: 'POST', headers, body });

function isOld(token) {
  try {
    const { iat, exp } = JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')));
    return Date.now() / 1000 > (iat + exp) / 2;
  } catch {
    return false;
  }
}
