// The parts of an OpenAPI 3.1 document that the page shows.

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  description?: string;
  enum?: string[];
  pattern?: string;
  minimum?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  readOnly?: boolean;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required: boolean;
  description?: string;
  schema: Schema;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  parameters: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { $ref?: string; description?: string }>;
}

export interface Document {
  info: { title: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, { description: string }> };
}

export interface Endpoint {
  verb: string;
  path: string;
  operation: Operation;
}

/** The operations of a tag, in the document's order. */
export function endpoints(document: Document, tag: string): Endpoint[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, operation]) => operation.tags.includes(tag))
      .map(([verb, operation]) => ({ verb: verb.toUpperCase(), path, operation })),
  );
}

/** What a client may send where *schema* is wanted: its fields, but for those that only come back. */
export function example(document: Document, schema: Schema): unknown {
  const { $ref } = schema;
  if ($ref) return example(document, document.components.schemas[$ref.replace(/^.*\//, "")] ?? {});
  if (schema.type === "array") return [example(document, schema.items ?? {})];
  if (schema.type === "object") {
    const wanted = Object.entries(schema.properties ?? {}).filter(([, field]) => !field.readOnly);
    return Object.fromEntries(wanted.map(([name, field]) => [name, example(document, field)]));
  }
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 0;
  if (schema.type === "boolean") return false;
  return schema.enum?.[0] ?? "";
}

export interface Filled {
  url: string;
  headers: Record<string, string>;
}

/** The address and the headers of a request whose parameters have these values; empty ones are left out. */
export function fill(endpoint: Endpoint, values: Record<string, string>): Filled {
  let path = endpoint.path;
  const query = new URLSearchParams();
  const headers: Record<string, string> = {};
  for (const { name, in: place } of endpoint.operation.parameters) {
    const value = values[name] ?? "";
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (place === "query") query.set(name, value);
    else headers[name] = value;
  }
  return { url: query.size ? `${path}?${query}` : path, headers };
}

/** The same request for a shell, where the token is in `$TOKEN`: nobody should paste it into a terminal's history. */
export function curl(origin: string, verb: string, { url, headers }: Filled, body?: string): string {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = ["curl", ...(verb === "GET" ? [] : ["-X", verb]), quoted(origin + url)];
  for (const [name, value] of Object.entries(headers)) {
    // A shell replaces a variable between double quotes only.
    parts.push("-H", name === "authorization" ? `"${name}: Bearer $TOKEN"` : quoted(`${name}: ${value}`));
  }
  if (body !== undefined) parts.push("-d", quoted(body));
  return parts.join(" ");
}
