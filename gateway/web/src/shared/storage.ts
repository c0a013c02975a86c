// What the browser keeps; a browser that keeps nothing (private mode, full) still shops.

/** What was stored under *key*, or *otherwise* when there is nothing usable. */
export function load<T>(key: string, otherwise: T, storage: Storage = localStorage): T {
  try {
    const text = storage.getItem(key);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

/** Keep *value* under *key*; false when the browser refuses. */
export function save(key: string, value: unknown, storage: Storage = localStorage): boolean {
  try {
    if (value === undefined) storage.removeItem(key);
    else storage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
