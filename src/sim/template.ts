// The chat template: messages of any API become one text, so that equal beginnings make equal tokens.
import { badRequest, type Fields, isRecord } from "./wire.ts";

/** One turn of a conversation. */
export interface Turn {
  readonly role: string;
  readonly text: string;
}

/** The text of the prompt, which ends where the assistant is to speak. */
export function renderTurns(turns: readonly Turn[]): string {
  const rendered = turns.map(({ role, text }) => `<|im_start|>${role}\n${text}<|im_end|>\n`);
  return `${rendered.join("")}<|im_start|>assistant\n`;
}

/** Turns of OpenAI's `messages`, which /v1/messages and the items of /v1/responses share in the main. */
export function turnsOf(messages: readonly Fields[], field: string): Turn[] {
  return messages.map((message, index) => {
    const role = message.text("role");
    if (role === undefined) throw badRequest(`${field}.${index}.role: Field required`, field);
    return { role, text: contentText(message.get("content")) + toolCalls(message) };
  });
}

/** Plain text of a string or of a list of parts; a part that is no text counts with its JSON. */
export function contentText(content: unknown): string {
  if (content === undefined) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw badRequest("content: Input should be a valid string or list");
  return content.map(partText).join("");
}

function partText(part: unknown): string {
  if (typeof part === "string") return part;
  if (isRecord(part) && typeof part["text"] === "string") return part["text"];
  return JSON.stringify(part);
}

function toolCalls(message: Fields): string {
  const calls = message.list("tool_calls");
  return calls === undefined ? "" : JSON.stringify(calls);
}
