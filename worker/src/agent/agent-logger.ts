type Write = (fields: Record<string, unknown>, message: string) => void;

/** What the agent needs of a structured logger; pino's has this shape. */
export interface AgentLogger {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
}

const ignore: Write = () => undefined;
export const silentLogger: AgentLogger = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
};
