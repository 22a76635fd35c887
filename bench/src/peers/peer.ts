import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { PeerReport } from '../report/report.ts';
import { repositoryPath } from '../repository.ts';

interface Peer {
  /** There only once the peer is installed. */
  marker: string;
  command: string;
  args: string[];
}

const peers: Readonly<Record<string, Peer>> = {
  ray: {
    marker: repositoryPath('.venv/ray/lib'),
    command: repositoryPath('.venv/ray/bin/python'),
    args: [repositoryPath('bench/peers/ray/rows.py')],
  },
  moleculer: {
    marker: repositoryPath('bench/peers/moleculer/node_modules/moleculer'),
    command: process.execPath,
    args: [repositoryPath('bench/peers/moleculer/rows.mjs')],
  },
  piscina: {
    marker: repositoryPath('bench/peers/piscina/node_modules/piscina'),
    command: process.execPath,
    args: [repositoryPath('bench/peers/piscina/rows.mjs')],
  },
};

export const peerNames: readonly string[] = Object.keys(peers);

export interface PeerRun {
  rows: readonly string[];
  quick: boolean;
  settleMs: number;
}

/** Throws with what to do when a peer is unknown or not installed, so that a long run does not fail at its end. */
export function requirePeers(names: readonly string[]): void {
  for (const name of names) {
    const peer = peers[name];
    if (peer === undefined)
      throw new Error(`No peer "${name}"; there are: ${peerNames.join(', ')}.`);
    if (!existsSync(peer.marker)) {
      throw new Error(`${name} is not installed; run: node bench/peers/install.mjs ${name}`);
    }
  }
}

/** Runs the peer's own program to its end; what it says of its progress goes to standard error. */
export async function runPeer(name: string, run: PeerRun): Promise<PeerReport> {
  const peer = peers[name];
  if (peer === undefined) throw new Error(`No peer "${name}".`);
  const args = [
    ...peer.args,
    '--settle',
    String(run.settleMs / 1000),
    '--rows',
    run.rows.join(','),
  ];
  if (run.quick) args.push('--quick');
  const output = await outputOf(name, peer.command, args);
  return parsePeerReport(name, output);
}

function outputOf(name: string, command: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(chunks).toString());
      else reject(new Error(`${name} failed (${String(signal ?? code)}); its output is above.`));
    });
  });
}

/** The last line is the report; peers print what they like before it. Throws when it is none. */
export function parsePeerReport(name: string, output: string): PeerReport {
  const lastLine = output.trimEnd().split('\n').at(-1) ?? '';
  let report: unknown;
  try {
    report = JSON.parse(lastLine);
  } catch (error) {
    throw new Error(`${name} did not end with a line of JSON: ${lastLine.slice(0, 200)}`, {
      cause: error,
    });
  }
  if (!isPeerReport(report))
    throw new Error(`${name} ended with JSON that is no report: ${lastLine.slice(0, 200)}`);
  return report;
}

function isPeerReport(value: unknown): value is PeerReport {
  if (!isRecord(value) || typeof value['version'] !== 'string' || !isRecord(value['rows']))
    return false;
  return Object.values(value['rows']).every(
    (row) =>
      isRecord(row) &&
      typeof row['value'] === 'number' &&
      typeof row['sd'] === 'number' &&
      typeof row['unit'] === 'string',
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
