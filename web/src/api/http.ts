/** One way to ask the server, and the one error that comes of it. */

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export const base = "/app/api/";

export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method, signal: signal ?? null };
  if (body instanceof Blob) {
    init.body = body;
  } else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(base + path, init);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, "offline", "");
  }
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/** `a=1&b=2` of what is neither empty nor absent, with its question mark. */
export function query(values: Record<string, string | number | undefined>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return given.length ? "?" + new URLSearchParams(given.map(([name, value]) => [name, String(value)])) : "";
}

async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { kind: string; message: string } };
    return new ApiError(response.status, error.kind, error.message);
  } catch {
    return new ApiError(response.status, "unknown", text.slice(0, 300) || `${response.status} ${response.statusText}`);
  }
}
