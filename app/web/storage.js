// JSON in the browser's storage. Without storage, as in some private windows, values live as long as the page.

function storage(area) {
  const memory = new Map();
  const attempt = (act, otherwise) => {
    try {
      return act();
    } catch {
      return otherwise();
    }
  };
  return {
    read(key, fallback) {
      const text = attempt(
        () => area().getItem(key) ?? memory.get(key),
        () => memory.get(key),
      );
      return attempt(
        () => JSON.parse(text) ?? fallback,
        () => fallback,
      );
    },
    write(key, value) {
      const text = JSON.stringify(value);
      attempt(
        () => area().setItem(key, text),
        () => memory.set(key, text),
      );
    },
    remove(key) {
      memory.delete(key);
      attempt(
        () => area().removeItem(key),
        () => {},
      );
    },
  };
}

// What this browser keeps, and what this tab keeps over a reload.
export const browser = storage(() => localStorage);
export const tab = storage(() => sessionStorage);
