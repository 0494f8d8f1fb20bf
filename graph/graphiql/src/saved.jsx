// A plugin: operations that are kept under names, in collections, in this browser.
import { useState } from 'react';
import { StarIcon, useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { OPENING_TABS } from './opening.js';

const KEY = 'openmcp-apiserver:saved';
const nameOf = (query) => /(?:query|subscription)\s+(\w+)/.exec(query)?.[1] ?? 'Unnamed';
const EXAMPLES = OPENING_TABS.map((tab) => ({ ...tab, collection: 'Examples', name: nameOf(tab.query) }));

function readSaved() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

function Saved() {
  const [saved, setSaved] = useState(readSaved);
  const [name, setName] = useState('');
  const [collection, setCollection] = useState('');
  const { addTab } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const headerEditor = useGraphiQL((state) => state.headerEditor);
  const write = (entries) => {
    localStorage.setItem(KEY, JSON.stringify(entries));
    setSaved(entries);
  };
  const save = (event) => {
    event.preventDefault();
    const [query, variables] = [queryEditor.getValue(), variableEditor?.getValue()];
    const entry = { collection: collection.trim() || 'Mine', name: name.trim() || nameOf(query), query, variables };
    write([...saved.filter((one) => one.collection !== entry.collection || one.name !== entry.name), entry]);
    setName('');
  };
  const open = ({ query, variables, headers }) => {
    addTab();
    queryEditor.setValue(query);
    variableEditor?.setValue(variables ?? '');
    headerEditor?.setValue(headers ?? '');
  };
  const all = [...saved, ...EXAMPLES];
  const collections = [...new Set(all.map((entry) => entry.collection))];
  return (
    <section className="saved" aria-label="Saved operations">
      <h2>Saved</h2>
      <form onSubmit={save}>
        <label>Name<input value={name} placeholder="the operation's own" onChange={(event) => setName(event.target.value)} /></label>
        <label>Collection<input value={collection} placeholder="Mine" list="saved-collections"
          onChange={(event) => setCollection(event.target.value)} /></label>
        <datalist id="saved-collections">{collections.map((one) => <option key={one} value={one} />)}</datalist>
        <button type="submit">Save this operation</button>
      </form>
      {collections.map((one) => (
        <div key={one}>
          <h3>{one}</h3>
          <ul>
            {all.filter((entry) => entry.collection === one).map((entry) => (
              <li key={entry.name}>
                <button type="button" onClick={() => open(entry)}>{entry.name}</button>
                {saved.includes(entry) && (
                  <button type="button" aria-label={`Forget ${entry.name}`} title="Forget"
                    onClick={() => write(saved.filter((other) => other !== entry))}>×</button>
                )}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

export const SAVED_PLUGIN = { title: 'Saved', icon: StarIcon, content: Saved };
