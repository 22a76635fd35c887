import { writeFile } from 'node:fs/promises';
import { type BenchCommand, parseCommandLine, usage } from './command-line.ts';
import { describeMachine } from './harness/machine.ts';
import { quickTiming, rayTiming } from './harness/timeit.ts';
import { checkSteadiness } from './limits/steadiness.ts';
import { requirePeers, runPeer } from './peers/peer.ts';
import { renderChart } from './report/chart.ts';
import { formatQuantity } from './report/number-format.ts';
import { type Report, type Row, withPeer } from './report/report.ts';
import { renderTable } from './report/table.ts';
import type { Suite, SuiteSettings } from './suites/suite.ts';

/** Loaded when asked for: each needs parts of the project that the others do without. */
const suites: Readonly<Record<string, () => Promise<Suite>>> = {
  core: async () => (await import('./suites/core.ts')).coreSuite,
  objects: async () => (await import('./suites/objects.ts')).objectsSuite,
  tasks: async () => (await import('./suites/tasks.ts')).tasksSuite,
  gateway: async () => (await import('./suites/gateway.ts')).gatewaySuite,
};

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function settingsOf(command: BenchCommand): SuiteSettings {
  const timing = command.quick ? quickTiming : rayTiming;
  return {
    timing: { ...timing, settleMs: command.settleMs ?? timing.settleMs },
    quick: command.quick,
    wants: (rowName) => command.rows.test(rowName),
    onRow({ name, value, sd, unit, limit }) {
      const beside = limit === undefined ? '' : `; ${limit.name} ${formatQuantity(limit.value)}`;
      say(`manta ${name}: ${formatQuantity(value)} ± ${formatQuantity(sd)} ${unit}${beside}`);
    },
    onNote: say,
  };
}

async function run(command: BenchCommand): Promise<Report> {
  requirePeers(command.peers);
  const settings = settingsOf(command);
  const rows: Row[] = [];
  const steadiness = [await checkSteadiness('before', settings.timing)];
  for (const [name, load] of Object.entries(suites)) {
    if (!command.suites.includes(name)) continue;
    const suite = await load();
    const parts = suite.parts(settings);
    // Peers follow part by part, so that both see the same machine; without peers one part is quicker.
    for (const part of command.peers.length === 0 ? [parts.flat()] : parts) {
      const wants = (row: string): boolean => part.includes(row) && settings.wants(row);
      rows.push(...(await besidePeers(await suite.run({ ...settings, wants }), command, settings)));
    }
    steadiness.push(await checkSteadiness(`after ${name}`, settings.timing));
  }
  if (rows.length === 0) throw new Error(`No row matches ${String(command.rows)}.`);
  return { machine: describeMachine(), quick: command.quick, steadiness, rows };
}

/** One after another, never at the same time as ours or as each other. */
async function besidePeers(
  rows: Row[],
  { peers, quick }: BenchCommand,
  { timing: { settleMs } }: SuiteSettings,
): Promise<Row[]> {
  if (rows.length === 0) return rows;
  let compared = rows;
  for (const peer of peers) {
    const wanted = { rows: rows.map(({ name }) => name), quick, settleMs };
    try {
      compared = withPeer(compared, peer, await runPeer(peer, wanted));
    } catch (error) {
      // What was measured of ours, and of the others, is not lost for it.
      say(`${wanted.rows.join(', ')} without ${peer}: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  }
  return compared;
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  let command: BenchCommand;
  try {
    command = parseCommandLine(args, Object.keys(suites));
  } catch (error) {
    say(`${(error as Error).message}\n\n${usage}`);
    process.exitCode = 2;
    return;
  }
  const report = await run(command);
  process.stdout.write(`${renderTable(report)}\n`);
  if (command.jsonFile !== undefined)
    await writeFile(command.jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  if (command.svgFile !== undefined) await writeFile(command.svgFile, renderChart(report));
}

await main();
