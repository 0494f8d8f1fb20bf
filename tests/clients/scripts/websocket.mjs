// Older versions of Node have no WebSocket of their own, as a browser has.
globalThis.WebSocket ??= (await import('ws')).WebSocket;
