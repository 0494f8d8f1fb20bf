// GraphiQL for this server: signs in at /token, opens with a query that shows the point, loads nothing from elsewhere.
import React, { useCallback, useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { GraphiQL } from 'graphiql';
import { useGraphiQLActions } from '@graphiql/react';
import 'graphiql/style.css';
import './page.css';
import { openLive, readRequest } from './live.js';
import { OPENING_TABS } from './opening.js';

const HERE = new URL('.', document.currentScript.src);
const WORKERS = { json: 'json.worker.js', graphql: 'graphql.worker.js' };
const REPEAT_MS = 5000;
const SESSION_KEY = 'openmcp-apiserver:session';

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(new URL(WORKERS[label] ?? 'editor.worker.js', HERE)),
};

function readSession() {
  try {
    return JSON.parse(sessionStorage.getItem(SESSION_KEY));
  } catch {
    return null;
  }
}

async function signIn(username, password) {
  const answer = await fetch('token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username, password }),
  });
  if (answer.status === 401) throw new Error('The user name or the password is wrong.');
  if (!answer.ok) throw new Error(`Signing in failed: the server answered ${answer.status}.`);
  return { user: username, token: (await answer.json()).token };
}

function SignIn({ note, onSession }) {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState(note);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      onSession(await signIn(user, password));
    } catch (error) {
      setProblem(error.message);
      setBusy(false);
    }
  };
  return (
    <main className="sign-in">
      <form onSubmit={submit} aria-labelledby="sign-in-title">
        <h1 id="sign-in-title">OpenMCP API server</h1>
        <p>Clusters, nodes, pods and what they use, as one graph.</p>
        <label>User<input name="username" autoComplete="username" autoFocus required value={user}
          onChange={(event) => setUser(event.target.value)} /></label>
        <label>Password<input name="password" type="password" autoComplete="current-password" required value={password}
          onChange={(event) => setPassword(event.target.value)} /></label>
        <button type="submit" disabled={busy}>Sign in</button>
        <p role="alert" className="problem">{problem}</p>
      </form>
    </main>
  );
}

function Repeat() {
  const { run } = useGraphiQLActions();
  const [on, setOn] = useState(false);
  useEffect(() => {
    if (!on) return undefined;
    run();
    const timer = setInterval(run, REPEAT_MS);
    return () => clearInterval(timer);
  }, [on, run]);
  return (
    <label className="repeat" title="Runs the query every 5 seconds">
      <input type="checkbox" checked={on} onChange={(event) => setOn(event.target.checked)} />5 s
    </label>
  );
}

function Explorer({ session, onEnd }) {
  const fetcher = useCallback(async (asked, options = {}) => {
    const { live, request } = readRequest(asked);
    const expired = () => onEnd('Your sign-in has expired. Sign in again.');
    const headers = {
      'Content-Type': 'application/json',
      Accept: 'application/json',
      Authorization: `Bearer ${session.token}`,
      ...options.headers,
    };
    if (live) return openLive(request, headers, expired);
    const answer = await fetch('graphql', { method: 'POST', headers, body: JSON.stringify(request) });
    if (answer.status === 401) expired();
    return answer.json();
  }, [session, onEnd]);
  return (
    <div className="explorer">
      <header className="session">
        <span>OpenMCP API server</span>
        <span>signed in as <b>{session.user}</b> <button type="button" onClick={() => onEnd('')}>Sign out</button></span>
      </header>
      <GraphiQL fetcher={fetcher} defaultTabs={OPENING_TABS}
        shouldPersistHeaders={false} defaultEditorToolsVisibility={false}>
        <GraphiQL.Logo><span /></GraphiQL.Logo>
        <GraphiQL.Toolbar>
          {({ prettify, copy, merge }) => (<>{prettify}{merge}{copy}<Repeat /></>)}
        </GraphiQL.Toolbar>
      </GraphiQL>
    </div>
  );
}

function Page() {
  const [session, setSession] = useState(readSession);
  const [note, setNote] = useState('');
  const begin = useCallback((value) => {
    sessionStorage.setItem(SESSION_KEY, JSON.stringify(value));
    setSession(value);
  }, []);
  const end = useCallback((why) => {
    sessionStorage.removeItem(SESSION_KEY);
    setNote(why);
    setSession(null);
  }, []);
  return useMemo(
    () => (session ? <Explorer session={session} onEnd={end} /> : <SignIn note={note} onSession={begin} />),
    [session, note, begin, end],
  );
}

createRoot(document.getElementById('graphiql')).render(<Page />);
