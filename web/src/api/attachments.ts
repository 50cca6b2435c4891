import { call, query } from "./http.ts";
import type { Attachment } from "./types.ts";

export const attach = (file: File) => call<Attachment>("POST", "attachments" + query({ name: file.name }), file);
