/** A server that keeps the contract of /app/api in memory and answers with scripted words: for tests of the page alone. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import type { AddressInfo } from "node:net";
import { Chats } from "./chats.ts";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".webmanifest": "application/manifest+json",
};

export interface Mock {
  url: string;
  chats: Chats;
  close(): Promise<void>;
}

export async function mock(folder: string, port = 0): Promise<Mock> {
  const chats = new Chats();
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://mock");
    const work = url.pathname.startsWith("/app/api/") ? api(chats, url, request, response) : page(folder, url.pathname, response);
    work.catch((error) => {
      response.writeHead(500, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { kind: "bug", message: String(error) } }));
    });
  });
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    chats,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(() => closed()));
    },
  };
}

async function page(folder: string, path: string, response: ServerResponse): Promise<void> {
  const name = normalize(path === "/" ? "/index.html" : path);
  const body = await readFile(join(folder, name)).catch(() => null);
  response.writeHead(body ? 200 : 404, {
    "content-type": types[extname(name)] ?? "application/octet-stream",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}

async function api(chats: Chats, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = url.pathname.slice("/app/api/".length).split("/").map(decodeURIComponent);
  if (path.at(-1) === "events") {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    const send = (event: string, data: unknown) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    const stop = path[0] === "workshop" ? chats.workshop.listen(path[2]!, send) : chats.listen(path.length === 1 ? null : path[1]!, send);
    response.on("close", stop);
    return;
  }
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const raw = Buffer.concat(parts);
  const json = request.headers["content-type"] === "application/json" ? JSON.parse(raw.toString()) : raw;
  const answer = chats.answer(request.method!, path, json, url.searchParams);
  response.writeHead(answer === null ? 404 : 200, { "content-type": "application/json" });
  response.end(JSON.stringify(answer ?? { error: { kind: "not_found", message: `There is no ${url.pathname}.` } }));
}
