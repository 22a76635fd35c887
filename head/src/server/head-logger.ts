/** Logs in the shape of pino. */
export interface HeadLogger {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

export const silentLogger: HeadLogger = { debug() {}, info() {}, warn() {}, error() {} };
