import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface HttpEcho extends AsyncDisposable {
  port: number;
}

/** A bare HTTP server in a process of its own: what an exchange of so many bytes takes without anything behind it. */
export async function startHttpEcho(answerBytes: number): Promise<HttpEcho> {
  const program = fileURLToPath(new URL('./http-echo-server.js', import.meta.url));
  const server = fork(program, [String(answerBytes)], { execArgv: [] });
  const exited = once(server, 'exit');
  const failed = exited.then(([code]) => {
    throw new Error(`The bare HTTP server ended with ${String(code)} before it listened.`);
  });
  const [port] = (await Promise.race([once(server, 'message'), failed])) as [number];
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.disconnect();
      await exited;
    },
  };
}
