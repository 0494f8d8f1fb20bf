"""The server under the clients that web developers use: npm packages at the versions of `package-lock.json`."""
