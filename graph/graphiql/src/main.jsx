// GraphiQL for this server: signs in at /token, opens with a query that shows the point, loads nothing from elsewhere.
import React, { useCallback, useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './page.css';
import { LiveTabs, readRequest } from './live.js';
import { ANSWER, finishSignIn, goToIssuer, loadOffers } from './oidc.js';
import { OPENING_TABS } from './opening.js';
import { SAVED_PLUGIN } from './saved.jsx';
import { freshToken, readSession, signIn, watchSession, writeSession } from './session.js';

const HERE = new URL('.', document.currentScript.src);
const WORKERS = { json: 'json.worker.js', graphql: 'graphql.worker.js' };
const REPEAT_MS = 5000;
const RENEW_MS = 30_000;
const [TAB, ESCAPE] = [2, 9]; // monaco.KeyCode
const WAY_OUT = 'Escape, then Tab leaves the editor.';
const PLUGINS = [HISTORY_PLUGIN, explorerPlugin(), SAVED_PLUGIN];
const LINK = readLink();

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(new URL(WORKERS[label] ?? 'editor.worker.js', HERE)),
};

function readLink() {
  const asked = new URLSearchParams(location.search);
  return asked.get('query') ? { query: asked.get('query'), variables: asked.get('variables') ?? '', headers: '' } : null;
}

// GraphiQL begins with what was edited last, in whichever tab that was: here it is what the active tab holds.
function readActiveTab() {
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState'));
    const { query, variables, headers } = tabs[activeTabIndex];
    return { query: query ?? '', variables: variables ?? '', headers: headers ?? '' };
  } catch {
    return null;
  }
}

function SignIn({ note, onSession }) {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState(note);
  const [busy, setBusy] = useState(false);
  const [offers, setOffers] = useState([]);
  useEffect(() => { loadOffers().then(setOffers); }, []);
  const attempt = async (work) => {
    setBusy(true);
    try {
      await work();
    } catch (error) {
      setProblem(error.message);
      setBusy(false);
    }
  };
  const submit = (event) => {
    event.preventDefault();
    attempt(async () => onSession(await signIn(user, password)));
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
        {offers.map((offer) => (
          <button type="button" className="issuer" key={offer.issuer} disabled={busy || !offer.authorizationEndpoint}
            title={offer.authorizationEndpoint ? offer.issuer : 'does not answer now'} onClick={() => attempt(() => goToIssuer(offer))}>
            Sign in with {new URL(offer.issuer).host}
          </button>
        ))}
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

function CopyLink() {
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const asked = new URLSearchParams({ query: queryEditor.getValue() });
    const variables = variableEditor?.getValue().trim();
    if (variables) asked.set('variables', variables);
    history.replaceState(null, '', `?${asked}`);
    await navigator.clipboard?.writeText(location.href).catch(() => {}); // else it is in the address bar
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <button type="button" className="link" title="Copies a link to this operation" onClick={copy}>
      {copied ? 'Copied' : 'Link'}
    </button>
  );
}

// Lines wrap, and the keyboard finds its way out.
function Editors() {
  const names = ['queryEditor', 'variableEditor', 'headerEditor', 'responseEditor'];
  const editors = names.map((name) => useGraphiQL((state) => state[name]));
  useEffect(() => {
    const undo = editors.filter(Boolean).flatMap((editor) => {
      const label = editor.getRawOptions().ariaLabel ?? 'Editor';
      editor.updateOptions({ wordWrap: 'on', ariaLabel: label.endsWith(WAY_OUT) ? label : `${label}. ${WAY_OUT}` });
      let leaving = false;
      return [
        editor.onKeyDown((event) => {
          if (leaving && event.keyCode === TAB) event.stopPropagation(); // the browser's own Tab is left
          else if (!event.shiftKey) leaving = event.keyCode === ESCAPE;
        }),
        editor.onDidBlurEditorText(() => { leaving = false; }),
      ];
    });
    return () => undo.forEach((one) => one.dispose());
  }, editors);
  return null;
}

// Streams of a tab go on behind it, and are shown again when it is looked at.
function LiveResults({ live }) {
  const { run, stop } = useGraphiQLActions();
  const tabs = useGraphiQL((state) => state.tabs);
  const activeTabIndex = useGraphiQL((state) => state.activeTabIndex);
  const ready = useGraphiQL((state) => Boolean(state.queryEditor && state.responseEditor));
  const active = tabs[activeTabIndex]?.id;
  useEffect(() => {
    document.querySelector('.graphiql-tab-active')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [active]);
  useEffect(() => live.watch({ tabs, activeTabIndex }), [live, tabs, activeTabIndex]);
  useEffect(() => {
    if (!ready) return;
    stop(); // a new tab would be given the results of the one before
    if (live.isLive()) run();
  }, [live, ready, active, run, stop]);
  return null;
}

function Explorer({ user, onEnd }) {
  const live = useMemo(() => new LiveTabs(), []);
  const shown = useMemo(() => LINK ?? readActiveTab(), []);
  useEffect(() => {
    const timer = setInterval(() => (live.size || document.visibilityState === 'visible') && freshToken(), RENEW_MS);
    return () => {
      clearInterval(timer);
      live.endAll();
    };
  }, [live]);
  const fetcher = useCallback(async (asked, options = {}) => {
    const { live: isLive, request } = readRequest(asked);
    const ask = async (accept, signal) => {
      const headers = {
        'Content-Type': 'application/json',
        Accept: accept,
        Authorization: `Bearer ${await freshToken()}`,
        ...options.headers,
      };
      const answer = await fetch('graphql', { method: 'POST', headers, body: JSON.stringify(request), signal });
      if (answer.status === 401) onEnd('Your sign-in has expired. Sign in again.');
      return answer;
    };
    if (isLive) return live.open(request, (signal) => ask('text/event-stream', signal));
    return (await ask('application/json')).json();
  }, [live, onEnd]);
  return (
    <div className="explorer">
      <header className="session">
        <span>OpenMCP API server</span>
        <span>signed in as <b>{user}</b> <button type="button" onClick={() => onEnd('')}>Sign out</button></span>
      </header>
      <GraphiQL fetcher={fetcher} defaultTabs={LINK ? [LINK, ...OPENING_TABS] : OPENING_TABS}
        initialQuery={shown?.query} initialVariables={shown?.variables} initialHeaders={shown?.headers} plugins={PLUGINS}
        onTabChange={(tabs) => live.watch(tabs)}
        shouldPersistHeaders defaultEditorToolsVisibility={false}>
        <GraphiQL.Logo><span /></GraphiQL.Logo>
        <GraphiQL.Toolbar>
          {({ prettify, copy, merge }) => (
            <>{prettify}{merge}{copy}<CopyLink /><Repeat /><Editors /><LiveResults live={live} /></>
          )}
        </GraphiQL.Toolbar>
      </GraphiQL>
    </div>
  );
}

function Page() {
  const [session, setSession] = useState(readSession);
  const [note, setNote] = useState(ANSWER ? 'Signing in ...' : '');
  useEffect(() => watchSession(setSession), []);
  const begin = useCallback((value) => {
    writeSession(value);
    setSession(value);
  }, []);
  const end = useCallback((why) => {
    writeSession(null);
    setNote(why);
    setSession(null);
  }, []);
  useEffect(() => { if (ANSWER) finishSignIn(ANSWER).then(begin, (error) => end(error.message)); }, [begin, end]);
  const user = session?.user; // a renewed token is no reason to begin anew
  return useMemo(
    () => (user ? <Explorer user={user} onEnd={end} /> : <SignIn key={note} note={note} onSession={begin} />),
    [user, note, begin, end],
  );
}

createRoot(document.getElementById('graphiql')).render(<Page />);
